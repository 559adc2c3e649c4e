package io.shadowbatch.cli;

import io.shadowbatch.cli.ShadowBatch.Command;
import io.shadowbatch.spark.InputCheck;
import io.shadowbatch.spark.JobConfig;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.JobOption;
import io.shadowbatch.spark.JobOptions;
import io.shadowbatch.spark.PlanReport;
import io.shadowbatch.spark.RunSummary;
import io.shadowbatch.spark.Session;
import io.shadowbatch.spark.Settings;
import io.shadowbatch.spark.ShadowBatchJob;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** The commands run, plan and validate, whose options are the job's. */
final class JobCommand {

  private final PrintStream out;
  private final PrintStream err;

  JobCommand(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  static CommandSpec spec(String description, Command body) {
    CommandSpec spec = CommandSpec.wrapWithoutInspection(body).mixinStandardHelpOptions(true);
    spec.usageMessage().description(description).width(100);
    spec.addOption(
        OptionSpec.builder("--config")
            .type(String.class)
            .paramLabel("<file>")
            .description("options by name, as YAML or JSON")
            .build());
    for (JobOption option : JobOptions.ALL) spec.addOption(option(option));
    return spec;
  }

  private static OptionSpec option(JobOption option) {
    String initial = option.initial() == null ? "" : " (default: " + option.initial() + ")";
    OptionSpec.Builder builder =
        OptionSpec.builder("--" + option.name())
            .paramLabel("<" + option.values() + ">")
            .description(option.text().replace("%", "%%") + initial);
    if (option.type().repeatable()) {
      return builder.type(List.class).auxiliaryTypes(String.class).arity("1").build();
    }
    return builder.type(String.class).build();
  }

  Exit run(ParseResult options) {
    Instant start = Instant.now();
    Settings settings = settings(options, start);
    try (Session session = Session.open()) {
      ShadowBatchJob job = new ShadowBatchJob(session.spark(), settings, start, err);
      Stops.onSignals(job);
      RunSummary summary = job.run();
      err.println("[shadowbatch] " + (summary.stopReason() == null ? "done" : "stopped"));
      err.print(summary.text());
      if (settings.json()) out.println(json(summary.described()));
      if (summary.stopReason() != null) {
        err.printf("shadowbatch: stopped: %s%n", summary.stopReason());
        err.println("shadowbatch: run the same command to go on from here");
        return summary.stopExit();
      }
      if (!job.overBudget(summary)) return Exit.OK;
      err.printf(
          "shadowbatch: %.1f %% of the rows are errors, more than --max-error-rate %s%n",
          100 * summary.errorRate(), job.errorRateMax());
      return Exit.ERROR_BUDGET;
    }
  }

  Exit plan(ParseResult options) {
    Instant start = Instant.now();
    Settings settings = settings(options, start);
    try (Session session = Session.open()) {
      Map<String, Object> plan = PlanReport.of(session.spark(), settings, start);
      err.print(PlanReport.text(plan));
      out.println(json(plan));
      return Exit.OK;
    }
  }

  Exit validate(ParseResult options) {
    Instant start = Instant.now();
    Settings settings = settings(options, start);
    try (Session session = Session.open()) {
      Map<String, Object> found = InputCheck.of(session.spark(), settings, start);
      err.print(PlanReport.text(found));
      out.println(json(found));
      return (long) found.get("rows_with_errors") == 0 ? Exit.OK : Exit.INPUT;
    }
  }

  /** Merged and checked before a session is opened: a wrong option costs no waiting. */
  private static Settings settings(ParseResult options, Instant start) {
    String file = options.matchedOptionValue("--config", null);
    Path path = file == null ? null : Path.of(file);
    Settings settings = Settings.merge(given(options), Session.properties(), path);
    JobConfig.of(settings, start);
    return settings;
  }

  /** The job's options of a command line. */
  static Map<String, List<String>> given(ParseResult options) {
    Map<String, List<String>> given = new LinkedHashMap<>();
    for (JobOption option : JobOptions.ALL) {
      String name = "--" + option.name();
      if (!options.hasMatchedOption(name)) continue;
      given.put(option.name(), options.matchedOption(name).originalStringValues());
    }
    return given;
  }

  private static String json(Map<String, Object> map) {
    return Session.json(map);
  }
}
