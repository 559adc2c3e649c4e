package io.shadowbatch.cli;

import io.shadowbatch.cli.ShadowBatch.Command;
import io.shadowbatch.eval.Evaluation;
import io.shadowbatch.spark.JobException;
import io.shadowbatch.spark.JobException.Exit;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.PositionalParamSpec;
import picocli.CommandLine.ParseResult;

/** Starts the evaluation of policies for keys and values, a main class of its own. */
final class EvalCommand {

  private EvalCommand() {}

  static CommandSpec spec(Command body) {
    CommandSpec spec = CommandSpec.wrapWithoutInspection(body);
    spec.parser().unmatchedOptionsArePositionalParams(true);
    spec.usageMessage()
        .description(
            "Says how far policies for keys and values move a model's answers, and what they save;"
                + " --help lists suites, policies and options.");
    spec.addPositional(
        PositionalParamSpec.builder()
            .index("0..*")
            .arity("1..*")
            .type(List.class)
            .auxiliaryTypes(String.class)
            .paramLabel("--model M --suite S[,S] --policy P [option..]")
            .build());
    return spec;
  }

  static Exit run(ParseResult options) {
    String[] all = options.matchedPositional(0).originalStringValues().toArray(new String[0]);
    try {
      if (!Evaluation.passes(all)) return Exit.GATE;
    } catch (IllegalArgumentException e) { // what it says of options
      throw new JobException(Exit.USAGE, "eval: " + e.getMessage());
    } catch (Exception e) {
      throw new JobException(Exit.UNEXPECTED, "eval: " + e.getMessage(), e);
    }
    return Exit.OK;
  }
}
