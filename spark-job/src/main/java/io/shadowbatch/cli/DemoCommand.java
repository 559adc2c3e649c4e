package io.shadowbatch.cli;

import io.shadowbatch.cli.ShadowBatch.Command;
import io.shadowbatch.spark.DemoPrompts;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.RunSummary;
import io.shadowbatch.spark.Session;
import io.shadowbatch.spark.Settings;
import io.shadowbatch.spark.ShadowBatchJob;
import java.io.PrintStream;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** Writes the demo's prompts, runs the job on them and shows some answers. */
final class DemoCommand {

  private static final String FOLDER = "--folder";

  private final PrintStream out;
  private final PrintStream err;

  DemoCommand(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  static CommandSpec spec(Command body) {
    CommandSpec spec = JobCommand.spec("Runs the job on prompts that come with it.", body);
    spec.addOption(
        OptionSpec.builder(FOLDER)
            .type(String.class)
            .required(true)
            .paramLabel("<folder>")
            .description("where prompts and completions are written")
            .build());
    return spec;
  }

  Exit run(ParseResult options) {
    String folder = options.matchedOptionValue(FOLDER, null);
    Map<String, List<String>> given = JobCommand.given(options);
    given.putIfAbsent("input", List.of(folder + "/prompts"));
    given.putIfAbsent("output", List.of(folder + "/completions"));
    given.putIfAbsent("max-tokens", List.of("48"));
    given.putIfAbsent("on-existing", List.of("overwrite"));
    Settings settings = Settings.merge(given, Session.properties(), null);
    try (Session session = Session.open()) {
      DemoPrompts.write(session.spark(), given.get("input").get(0));
      ShadowBatchJob job = new ShadowBatchJob(session.spark(), settings, Instant.now(), err);
      RunSummary summary = job.run();
      out.println("Some of the answers:");
      out.print(DemoPrompts.shown(session.spark(), summary.output()));
      out.println("Summary:");
      out.print(summary.text());
      if (settings.json()) out.println(Session.json(summary.described()));
      return job.overBudget(summary) ? Exit.ERROR_BUDGET : Exit.OK;
    }
  }
}
