package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.FailingKernels;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.schedule.PrefixReuse;
import io.shadowbatch.schedule.Scheduler;
import io.shadowbatch.schedule.SchedulerMetrics;
import io.shadowbatch.schedule.Sequence;
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
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Switches of prefix reuse and attention decide what is computed how, never the answers. */
@Timeout(120)
class EngineSwitchesTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);

  /** Of the tiny models: layers, KV heads, blocks of 8-bit keys and values. */
  private static final long PAGE = 2L * 2 * (2 * 64 * 32 + 1024);

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

  @Test
  void answersAreTheSameBitsWhenEveryOtherStepTakesASequencesMemory() throws IOException {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    List<Request> requests = requests(random);
    EngineConfig config = config(Family.LLAMA, 600 * PAGE);
    Map<Long, List<Integer>> expected = run(config, requests);
    Kernels kernels = Backend.open("cpu", 2);
    int[] shared = {0}; // steps before which a sequence could lose its memory
    Consumer<Scheduler> takeSome =
        scheduler -> {
          List<Sequence> running = scheduler.running();
          // Never the oldest, as the scheduler has it: something must advance.
          if (running.size() < 2 || shared[0]++ % 2 != 0) return;
          scheduler.preempt(running.get(1 + random.nextInt(running.size() - 1)));
        };
    try (Engine engine = Engine.open(config, kernels, takeSome)) {
      assertThat(tokens(engine, requests)).isEqualTo(expected);
      SchedulerMetrics done = engine.metrics().scheduler();
      System.out.println(done);
      assertThat(done.preemptions()).isEqualTo((shared[0] + 1) / 2).isGreaterThan(10);
      assertThat(done.recomputedTokens()).isPositive();
    }
  }

  @Test
  void answersAreTheSameBitsWhenStepsRunOutOfMemory() throws IOException {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    List<Request> requests = requests(random);
    EngineConfig config = config(Family.LLAMA, 600 * PAGE);
    Map<Long, List<Integer>> expected = run(config, requests);
    AtomicInteger failures = new AtomicInteger();
    Kernels kernels =
        FailingKernels.over(
            Backend.open("cpu", 2),
            name -> name.equals("attend") && random.nextInt(20) == 0 && fails(failures));
    try (Engine engine = Engine.open(config, kernels, scheduler -> {})) {
      assertThat(tokens(engine, requests)).isEqualTo(expected);
      assertThat(failures.get()).isGreaterThan(5);
    }
  }

  private static boolean fails(AtomicInteger failures) {
    failures.incrementAndGet();
    return true;
  }

  @Test
  void anEngineWithoutMemoryForItsFirstPagesDoesNotOpen() throws IOException {
    EngineConfig config = config(Family.LLAMA, 1L << 30);
    Kernels kernels = FailingKernels.over(Backend.open("cpu", 2), EngineSwitchesTest::isForPages);
    assertThatThrownBy(() -> Engine.open(config, kernels, scheduler -> {}))
        .hasMessageContaining("kv memory")
        .hasMessageContaining("" + (1L << 30));
  }

  private static boolean isForPages(String operation) {
    return operation.equals("allocate")
        && StackWalker.getInstance()
            .walk(frames -> frames.anyMatch(f -> f.getClassName().endsWith("KvPages")));
  }

  @Test
  void anEngineThatCannotBeRelievedFailsAndSaysSo() throws IOException {
    List<Request> requests = requests(new Random(SEED));
    EngineConfig config = config(Family.LLAMA, 600 * PAGE);
    Kernels kernels = FailingKernels.over(Backend.open("cpu", 2), "attend"::equals);
    try (Engine engine = Engine.open(config, kernels, scheduler -> {})) {
      Iterator<Completion> answers = engine.run(requests.iterator(), () -> false);
      assertThatThrownBy(answers::next).hasMessageContaining("OutOfMemoryError");
      assertThat(engine.alive()).isFalse();
    }
  }

  private EngineConfig config(Family family, long kvBytes) throws IOException {
    Path model = folder.resolve(family + ".gguf");
    TinyModels.write(model, family, SEED, QuantType.Q8_0);
    return new EngineConfig(model, "cpu", 2, kvBytes, 200, 0, KvCodec.INT8, folder);
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
    try (Engine engine = Engine.open(config)) {
      Map<Long, List<Integer>> tokens = tokens(engine, requests);
      SchedulerMetrics done = engine.metrics().scheduler();
      if (config.prefixReuse() == PrefixReuse.OFF) {
        assertThat(done.reusedTokens()).isZero();
        assertThat(done.prefillTokens()).isGreaterThanOrEqualTo(done.promptTokens());
      } else {
        assertThat(done.reusedTokens()).isPositive();
      }
      return tokens;
    }
  }

  private static Map<Long, List<Integer>> tokens(Engine engine, List<Request> requests) {
    Map<Long, List<Integer>> tokens = new TreeMap<>();
    Iterator<Completion> answers = engine.run(requests.iterator(), () -> false);
    while (answers.hasNext()) {
      Completion c = answers.next();
      assertThat(c.error()).isNull();
      tokens.put(c.id(), Arrays.stream(c.tokenIds()).boxed().toList());
    }
    return tokens;
  }
}
