package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.engine.StepCosts.Measured;
import io.shadowbatch.engine.StepCosts.Work;
import io.shadowbatch.model.Family;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StepCostsTest {
  private static final long SEED = 20261121;

  @Test
  void sixStepsOfKnownCostsGiveTheseCosts() {
    System.out.println("seed " + SEED);
    Random random = new Random(SEED);
    for (int i = 0; i < 1000; i++) {
      StepCosts known =
          new StepCosts(
              random.nextDouble(),
              random.nextDouble(),
              random.nextDouble(),
              random.nextDouble(),
              random.nextDouble());
      StepCosts found =
          StepCosts.through(
              new StepCosts.Probes(
                  measured(known, 1, 1, 64),
                  measured(known, 16, 1, 64),
                  measured(known, 16, 1, 512),
                  measured(known, 64, 1, 64),
                  measured(known, 1, 512, 0),
                  measured(known, 1, 512, 1024)));
      assertThat(found.base()).isCloseTo(known.base(), within(1e-6));
      assertThat(found.token()).isCloseTo(known.token(), within(1e-6));
      assertThat(found.logit()).isCloseTo(known.logit(), within(1e-6));
      assertThat(found.batchedPair()).isCloseTo(known.batchedPair(), within(1e-6));
      assertThat(found.lonePair()).isCloseTo(known.lonePair(), within(1e-6));
    }
  }

  private static Measured measured(StepCosts costs, int sequences, int tokens, int behind) {
    double pairs = 0;
    for (int i = 0; i < tokens; i++) pairs += behind + i + 1;
    double all = sequences * pairs;
    Work work =
        tokens > 1
            ? new Work(1, sequences * tokens, sequences, all, 0)
            : new Work(1, sequences * tokens, sequences, 0, all);
    return new Measured(work, costs.seconds(work));
  }

  @Test
  void workOfAPromptCountsEveryTokenAndEveryPairOnce() {
    for (int prompt = 1; prompt < 20; prompt++) {
      for (int reused = 0; reused < prompt; reused++) {
        for (int completion = 1; completion < 6; completion++) {
          double tokens = 0;
          double batched = 0;
          double lone = 0;
          for (int at = reused; at < prompt + completion - 1; at++) {
            tokens++;
            batched += at < prompt ? at + 1 : reused;
            lone += at < prompt ? 0 : at + 1 - reused;
          }
          assertThat(Work.of(reused, prompt, completion))
              .isEqualTo(new Work(0, tokens, completion, batched, lone));
        }
      }
    }
  }

  @Test
  void costsAreMeasuredOnceForAModelAndAMachine(@TempDir Path folder) throws IOException {
    Path model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
    EngineConfig config = new EngineConfig(model, "cpu", 1, 1 << 26, 0, 0, null, folder);
    StepCosts costs = DeviceCosts.of(config);
    assertThat(costs.seconds(new Work(1, 512, 1, 512 * 256, 0))).isPositive().isFinite();
    assertThat(DeviceCosts.of(config)).as("to the last bit: it was read").isEqualTo(costs);
    EngineConfig other = new EngineConfig(model, "reference", 1, 1 << 26, 0, 0, null, folder);
    assertThat(DeviceCosts.of(other)).as("other kernels").isNotEqualTo(costs);
  }

  @Test
  void damagedCostsAreMeasuredAgain(@TempDir Path folder) throws IOException {
    Path model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
    EngineConfig config = new EngineConfig(model, "cpu", 1, 1 << 26, 0, 0, null, folder);
    DeviceCosts.of(config);
    List<Path> files;
    try (Stream<Path> found = Files.list(folder.resolve("costs"))) {
      files = found.toList();
    }
    assertThat(files).hasSize(1);
    for (String damage : List.of("", "{", "{\"base\": -1}", "[1]", "{\"base\": \"x\"}")) {
      Files.writeString(files.get(0), damage);
      StepCosts again = DeviceCosts.of(config);
      assertThat(again.token()).as(damage).isNotNegative();
      assertThat(DeviceCosts.of(config)).as("kept anew after " + damage).isEqualTo(again);
    }
  }
}
