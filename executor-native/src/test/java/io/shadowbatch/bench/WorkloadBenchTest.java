package io.shadowbatch.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.bench.Workload.Prompt;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.model.Family;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The benchmark on a tiny model: counts, not times. */
@Timeout(120)
class WorkloadBenchTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261124L);

  @TempDir Path folder;

  @Test
  void countsLieBetweenTheTrieAndWholePages() throws IOException {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    WorkloadBench bench = open();
    for (String id : List.of("M16", "M64", "UQ", "DUP", "FS", "SD", "REL_GOOD", "REL_BAD")) {
      Workload workload = Workloads.of(id, SEED, 250);
      for (WorkloadResult r : bench.run(workload, List.of(SharingMode.values()), 1)) {
        WorkloadRun run = r.median();
        assertThat(run.preemptions()).as(id).isZero();
        long generated = workload.outputTokens() - workload.prompts().size();
        assertThat(run.decodeTokens()).as(id).isEqualTo(generated);
        if (r.baseline() == SharingMode.NONE) {
          assertThat(run.prefillTokens()).as(id).isEqualTo(workload.promptTokens());
        } else {
          assertThat(run.prefillTokens())
              .as("%s %s", id, r.baseline())
              .isBetween(r.trie().planned(), r.trie().plannedPages());
        }
      }
    }
  }

  @Test
  void wholePagesInCommonAreComputedAsPlanned() throws IOException {
    int[] prefix = new Random(SEED).ints(128, 0, 250).toArray();
    List<Prompt> prompts = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      int[] tokens = Arrays.copyOf(prefix, 150);
      Arrays.fill(tokens, 128, 150, i);
      prompts.add(new Prompt(tokens, 3));
    }
    Workload workload = new Workload("tiny", prompts, 0);
    for (WorkloadResult r :
        open().run(workload, List.of(SharingMode.LRU_SORTED, SharingMode.SHARED), 2)) {
      assertThat(r.overPlan()).isZero();
      assertThat(r.ratio()).isNaN();
      assertThat(r.saved()).isEqualTo(r.savedMost());
      assertThat(r.json()).contains("\"computed_less_planned\": 0", "\"ratio_to_none\": null");
      assertThat(r.row()).startsWith("tiny").doesNotContain("NaN");
    }
  }

  private WorkloadBench open() throws IOException {
    Path model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
    EngineConfig config =
        new EngineConfig(model, "cpu", 2, 64L << 20, 100, 0, KvCodec.INT8, folder);
    return new WorkloadBench(config, SEED, new PrintStream(PrintStream.nullOutputStream()));
  }
}
