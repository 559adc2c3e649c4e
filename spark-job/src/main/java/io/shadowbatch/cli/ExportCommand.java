package io.shadowbatch.cli;

import io.shadowbatch.cli.ShadowBatch.Command;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.OpenAiExport;
import io.shadowbatch.spark.Session;
import java.io.PrintStream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** Writes a finished output as OpenAI batch files. */
final class ExportCommand {

  private static final String OUTPUT = "--output";
  private static final String TO = "--to";

  private final PrintStream out;
  private final PrintStream err;

  ExportCommand(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  static CommandSpec spec(Command body) {
    CommandSpec spec = CommandSpec.wrapWithoutInspection(body).mixinStandardHelpOptions(true);
    spec.usageMessage().description("Writes a finished output as OpenAI batch files.").width(100);
    spec.addOption(
        OptionSpec.builder(OUTPUT)
            .type(String.class)
            .required(true)
            .paramLabel("<folder>")
            .description("output of a finished run")
            .build());
    spec.addOption(
        OptionSpec.builder(TO)
            .type(String.class)
            .paramLabel("<folder>")
            .description("where to write; else _openai in the output; an older export is replaced")
            .build());
    return spec;
  }

  Exit run(ParseResult options) {
    String output = options.matchedOptionValue(OUTPUT, null);
    String to = options.matchedOptionValue(TO, null);
    try (Session session = Session.open()) {
      OpenAiExport.Written written = OpenAiExport.of(session.spark(), output, to);
      err.printf(
          "[shadowbatch] %s: %,d answers, %,d errors%n",
          written.folder(), written.completed(), written.failed());
      out.println(Session.json(written.described()));
      return Exit.OK;
    }
  }
}
