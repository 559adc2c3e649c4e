package io.shadowbatch.cli;

import io.shadowbatch.bench.DeviceBench;
import io.shadowbatch.bench.EngineBench;
import io.shadowbatch.bench.KernelBench;
import io.shadowbatch.bench.ShadowBench;
import io.shadowbatch.bench.TailBench;
import io.shadowbatch.bench.WorkloadBench;
import io.shadowbatch.cli.ShadowBatch.Command;
import io.shadowbatch.spark.JobBench;
import io.shadowbatch.spark.JobException;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.PlanningBench;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.PositionalParamSpec;
import picocli.CommandLine.ParseResult;

/** Starts one of the benchmarks, each a main class of its own. */
final class BenchCommand {

  private BenchCommand() {}

  static CommandSpec spec(Command body) {
    CommandSpec spec = CommandSpec.wrapWithoutInspection(body);
    spec.parser().unmatchedOptionsArePositionalParams(true);
    spec.usageMessage()
        .description(
            "Measures kernels (operations), engine (prompts, no Spark), workloads (prefix sharing),"
                + " tails (of tasks that feed an engine), shadow (reading in part), device"
                + " (operations of a GPU at the shapes of an 8B model), plan (all of the job before"
                + " inference) or job (all of it); the rest goes to it.");
    spec.addPositional(
        PositionalParamSpec.builder()
            .index("0..*")
            .arity("1..*")
            .type(List.class)
            .auxiliaryTypes(String.class)
            .paramLabel("kernels|engine|workloads|tails|shadow|device|plan|job [option..]")
            .build());
    return spec;
  }

  static Exit run(ParseResult options) {
    List<String> all = options.matchedPositional(0).originalStringValues();
    String[] rest = all.subList(1, all.size()).toArray(new String[0]);
    try {
      switch (all.get(0)) {
        case "kernels" -> KernelBench.main(rest);
        case "engine" -> EngineBench.main(rest);
        case "workloads" -> WorkloadBench.main(rest);
        case "tails" -> TailBench.main(rest);
        case "shadow" -> ShadowBench.main(rest);
        case "device" -> DeviceBench.main(rest);
        case "plan" -> PlanningBench.main(rest);
        case "job" -> JobBench.main(rest);
        default ->
            throw new JobException(
                Exit.USAGE,
                "bench: expected kernels, engine, workloads, tails, shadow, device, plan or job,"
                    + " got "
                    + all.get(0));
      }
    } catch (JobException e) {
      throw e;
    } catch (IllegalArgumentException e) { // what the benchmarks of the engine say of options
      throw new JobException(Exit.USAGE, "bench " + all.get(0) + ": " + e.getMessage());
    } catch (Exception e) {
      throw new JobException(Exit.UNEXPECTED, "bench: " + e.getMessage(), e);
    }
    return Exit.OK;
  }
}
