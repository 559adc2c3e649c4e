package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** T26: answers that are too far from exact ones end reading in part. */
@Timeout(120)
class EngineCanaryTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);

  @TempDir Path folder;
  private final Random random = new Random(SEED);

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  private List<Request> requests(int from, int count) {
    SamplingParams g = SamplingParams.GREEDY;
    SamplingParams sixteen =
        new SamplingParams(
            16, 16, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, g.repetitionPenalty(), -1, true);
    List<Request> requests = new ArrayList<>();
    for (int i = from; i < from + count; i++) {
      int[] tokens = random.ints(300 + random.nextInt(150), 0, 250).toArray();
      requests.add(new Request(i, tokens, sixteen, KvMode.SHADOW));
    }
    return requests;
  }

  private static List<Completion> answers(Engine engine, List<Request> requests) {
    List<Completion> answers = new ArrayList<>();
    engine.run(requests.iterator(), () -> false).forEachRemaining(answers::add);
    assertThat(answers).hasSize(requests.size()).allMatch(c -> c.error() == null);
    return answers;
  }

  @Test
  void requestsBehindTheLimitsAreReadExactly() throws IOException {
    Path file = folder.resolve("model.gguf");
    TinyModels.write(file, Family.LLAMA, SEED, QuantType.Q8_0);
    EngineConfig dense = new EngineConfig(file, "cpu", 2, 1L << 26, 200, 0, KvCodec.INT8, folder);
    ShadowSpec careless = ShadowSpec.STANDARD.with(8, 0).from(0);
    List<Request> first = requests(0, 12);
    List<Request> second = requests(12, 6);
    try (Engine engine = Engine.open(dense.with(careless, HostMemory.of(1 << 28)));
        Engine exact = Engine.open(dense)) {
      assertThat(answers(engine, first)).allMatch(c -> c.kvMode() == KvMode.SHADOW);
      CanaryMetrics canary = engine.metrics().canary();
      System.out.println(canary);
      assertThat(canary.rows()).isEqualTo(12);
      assertThat(canary.positions()).isEqualTo(12 * 15); // of 16 tokens the first is exact
      assertThat(canary.exceeded()).as("the premise: 8 tokens are not enough").isTrue();
      List<Completion> behind = answers(engine, second);
      List<Completion> expected = answers(exact, second);
      for (Completion c : behind) {
        assertThat(c.kvMode()).isEqualTo(KvMode.DENSE);
        Completion same = expected.stream().filter(e -> e.id() == c.id()).findFirst().orElseThrow();
        assertThat(c.tokenIds()).isEqualTo(same.tokenIds());
      }
      assertThat(engine.metrics().canary()).isEqualTo(canary);
    }
  }
}
