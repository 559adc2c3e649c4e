package io.shadowbatch.cli;

import io.shadowbatch.spark.JobException;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.JobOptions;
import java.io.PrintStream;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Main class of the job: finds the sub-command, runs it and ends with its exit code. */
public final class ShadowBatch {

  private final PrintStream out;
  private final PrintStream err;

  ShadowBatch(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  public static void main(String[] args) {
    int code = new ShadowBatch(System.out, System.err).execute(args);
    System.out.flush();
    System.err.flush();
    System.exit(code);
  }

  /** One of the commands. */
  interface Command {
    Exit run(ParseResult options);
  }

  int execute(String... args) {
    CommandLine line = commands();
    line.setExecutionStrategy(this::run);
    line.setParameterExceptionHandler(this::usage);
    line.setOut(new java.io.PrintWriter(out, true));
    line.setErr(new java.io.PrintWriter(err, true));
    return line.execute(args);
  }

  private CommandLine commands() {
    CommandSpec top = CommandSpec.create().name("shadowbatch").mixinStandardHelpOptions(true);
    top.usageMessage().description("Offline batch inference of language models on Apache Spark.");
    top.addSubcommand("run", JobCommand.spec("Computes completions.", this::runJob));
    top.addSubcommand("plan", JobCommand.spec("Says what a run would do.", this::plan));
    top.addSubcommand("validate", JobCommand.spec("Checks model and input.", this::validate));
    top.addSubcommand("export", ExportCommand.spec(this::export));
    top.addSubcommand("demo", DemoCommand.spec(this::demo));
    top.addSubcommand("bench", BenchCommand.spec(BenchCommand::run));
    top.addSubcommand("eval", EvalCommand.spec(EvalCommand::run));
    CommandSpec options = CommandSpec.create().mixinStandardHelpOptions(true);
    options.usageMessage().description("Prints all options as a Markdown table.");
    top.addSubcommand("options", options);
    return new CommandLine(top);
  }

  private int run(ParseResult parsed) {
    Integer help = CommandLine.executeHelpRequest(parsed);
    if (help != null) return help;
    if (!parsed.hasSubcommand()) {
      parsed.commandSpec().commandLine().usage(err);
      return Exit.USAGE.code();
    }
    ParseResult command = parsed.subcommand();
    if (command.commandSpec().name().equals("options")) {
      out.print(JobOptions.markdown());
      return Exit.OK.code();
    }
    Command body = (Command) command.commandSpec().userObject();
    try {
      return body.run(command).code();
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      return failed(e);
    }
  }

  private Exit runJob(ParseResult options) {
    return new JobCommand(out, err).run(options);
  }

  private Exit plan(ParseResult options) {
    return new JobCommand(out, err).plan(options);
  }

  private Exit validate(ParseResult options) {
    return new JobCommand(out, err).validate(options);
  }

  private Exit export(ParseResult options) {
    return new ExportCommand(out, err).run(options);
  }

  private Exit demo(ParseResult options) {
    return new DemoCommand(out, err).run(options);
  }

  private int usage(ParameterException e, String[] args) {
    err.println("shadowbatch: " + e.getMessage());
    List<String> close = List.of();
    if (e instanceof CommandLine.UnmatchedArgumentException unmatched) {
      close = unmatched.getSuggestions();
    }
    if (!close.isEmpty()) err.println("Did you mean: " + String.join(", ", close) + "?");
    err.println("See `shadowbatch help`, or `shadowbatch options` for all options.");
    return Exit.USAGE.code();
  }

  private int failed(Exception e) {
    if (e instanceof JobException known) {
      err.println("shadowbatch: " + known.getMessage());
      if (known.exit() == Exit.UNEXPECTED && known.getCause() != null) {
        known.getCause().printStackTrace(err);
      }
      return known.exit().code();
    }
    err.println("shadowbatch: unexpected failure");
    e.printStackTrace(err);
    return Exit.UNEXPECTED.code();
  }
}
