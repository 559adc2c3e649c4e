package io.shadowbatch.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.bench.TailBench.Case;
import io.shadowbatch.bench.TailBench.Time;
import io.shadowbatch.bench.Workload.Prompt;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.model.Family;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The tails of tasks on a tiny model: what is computed, not how fast. */
@Timeout(120)
class TailBenchTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261126L);

  @TempDir Path folder;

  @Test
  void promptsHaveTheLengthsOfTheTable() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    List<Prompt> prompts = Workloads.tails(2048, SEED, 49152);
    assertThat(prompts).hasSize(2048).allMatch(p -> p.tokens().length == 144);
    assertThat(prompts).allMatch(p -> p.outputs() >= 1 && p.outputs() <= 96);
    double mean = prompts.stream().mapToInt(Prompt::outputs).average().orElse(0);
    assertThat(mean).isBetween(21.5, 25.5);
    for (int i = 1; i < prompts.size(); i++) {
      int shared = Arrays.mismatch(prompts.get(i - 1).tokens(), prompts.get(i).tokens());
      if (i % 16 == 0) assertThat(shared).as("prompt %d", i).isLessThan(3);
      else assertThat(shared).as("prompt %d", i).isBetween(128, 131);
    }
  }

  @Test
  void everyWayOfFeedingAnswersAllAndIsMeasured() throws IOException {
    Path model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
    EngineConfig config =
        new EngineConfig(model, "cpu", 2, 64L << 20, 100, 0, KvCodec.INT8, folder);
    TailBench bench = new TailBench(config, Workloads.tails(96, SEED, 250));
    List<Case> cases = List.of(new Case(32, 1, 96), new Case(32, 2, 96), new Case(40, 2, 96));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    List<String> lines = bench.table(cases, 1, new PrintStream(out, true, StandardCharsets.UTF_8));
    assertThat(lines).hasSize(3).allMatch(line -> line.contains("\"prompts\": 96, \"tasks\": 3"));
    String table = out.toString(StandardCharsets.UTF_8);
    assertThat(table.lines()).hasSize(4);
    assertThat(table).doesNotContain("NaN", "Infinity");
    Time token = bench.perToken(300, 600);
    assertThat(token.wall()).isPositive();
    assertThat(token.cpu()).isPositive();
  }

  @Test
  void idealCountsEachSharedTokenOnce() throws IOException {
    Path model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
    EngineConfig config =
        new EngineConfig(model, "cpu", 2, 64L << 20, 100, 0, KvCodec.INT8, folder);
    List<Prompt> prompts = Workloads.tails(64, SEED, 49152);
    long outputs = prompts.subList(0, 32).stream().mapToLong(Prompt::outputs).sum();
    long tokens = new TailBench(config, prompts).tokens(new Case(16, 1, 32));
    assertThat(tokens).isBetween(2 * 128 + 32 * 16 + outputs - 32 - 8, 2 * 128 + 32 * 16 + outputs);
  }
}
