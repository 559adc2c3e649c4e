package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.schedule.PrefixReuse;
import io.shadowbatch.schedule.SchedulerMetrics;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Switches of prefix reuse and attention decide what is computed how, never the answers. */
@Timeout(120)
class EngineSwitchesTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);

  /** Of the tiny models: layers, KV heads, blocks of 8-bit keys and values. */
  private static final long PAGE = 2L * 2 * (2 * 64 * 32 + 768);

  @TempDir Path folder;

  @Test
  void answersAreTheSameBitsUnderAllSwitches() throws IOException {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    for (Family family : List.of(Family.LLAMA, Family.QWEN2, Family.MISTRAL)) {
      Path model = folder.resolve(family + ".gguf");
      TinyModels.write(model, family, SEED, QuantType.Q8_0);
      List<Request> requests = requests(random);
      Map<Long, List<Integer>> expected = null;
      for (long pages : new long[] {600, 9}) {
        int batchTokens = 16 + random.nextInt(150);
        EngineConfig config =
            new EngineConfig(model, "cpu", 2, pages * PAGE, batchTokens, 0, KvCodec.INT8, folder);
        for (PrefixReuse reuse : PrefixReuse.values()) {
          for (PrefixAttention attention : PrefixAttention.values()) {
            Map<Long, List<Integer>> tokens = run(config.with(reuse, attention), requests);
            if (expected == null) expected = tokens;
            assertThat(tokens)
                .as("%s, %d pages, %s, %s", family, pages, reuse, attention)
                .isEqualTo(expected);
          }
        }
      }
    }
  }

  /** A tree: half of the prompts share 128 tokens, of which half share 50 more. */
  private static List<Request> requests(Random random) {
    SamplingParams params =
        new SamplingParams(30, 30, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, true);
    int[] shared = random.ints(178, 0, 250).toArray();
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < 24; i++) {
      int common = i % 2 == 0 ? 0 : i % 4 == 1 ? 128 : 178;
      int[] tokens = random.ints(common + 1 + random.nextInt(100), 0, 250).toArray();
      System.arraycopy(shared, 0, tokens, 0, common);
      requests.add(new Request(i, tokens, params));
    }
    return requests;
  }

  private static Map<Long, List<Integer>> run(EngineConfig config, List<Request> requests)
      throws IOException {
    Map<Long, List<Integer>> tokens = new TreeMap<>();
    try (Engine engine = Engine.open(config)) {
      Iterator<Completion> answers = engine.run(requests.iterator(), () -> false);
      while (answers.hasNext()) {
        Completion c = answers.next();
        assertThat(c.error()).isNull();
        tokens.put(c.id(), Arrays.stream(c.tokenIds()).boxed().toList());
      }
      SchedulerMetrics done = engine.metrics().scheduler();
      if (config.prefixReuse() == PrefixReuse.OFF) {
        assertThat(done.reusedTokens()).isZero();
        assertThat(done.prefillTokens()).isGreaterThanOrEqualTo(done.promptTokens());
      } else {
        assertThat(done.reusedTokens()).isPositive();
      }
    }
    return tokens;
  }
}
