package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.HiddenMemoryKernels;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.schedule.PrefixReuse;
import io.shadowbatch.schedule.Scheduler;
import io.shadowbatch.schedule.Sequence;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Requests that read their prompts in part, among others that do not. */
@Timeout(240)
class EngineShadowTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261127L);
  private static final long PAGE = 2L * 2 * (2 * 64 * 32 + 1024);

  /** 3 chunks always, 4 by score. */
  private static final ShadowSpec SPEC = ShadowSpec.STANDARD.with(32, 2).from(0);

  @TempDir Path folder;
  private final Random random = new Random(SEED);

  @BeforeEach
  void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  private EngineConfig config(KvCodec codec, long pages, int batchTokens) throws IOException {
    Path model = folder.resolve("model.gguf");
    TinyModels.write(model, Family.LLAMA, SEED, QuantType.Q8_0);
    return new EngineConfig(model, "cpu", 2, pages * 2 * PAGE, batchTokens, 0, codec, folder)
        .with(SPEC, HostMemory.of(1 << 28));
  }

  /** Every third is dense; groups share 130 or 180 tokens; some are too short to leave out any. */
  private List<Request> requests() {
    SamplingParams params =
        new SamplingParams(25, 25, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, true);
    int[] shared = random.ints(180, 0, 250).toArray();
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < 30; i++) {
      int common = i % 2 == 0 ? 0 : i % 4 == 1 ? 130 : 180;
      int[] tokens = random.ints(common + 1 + random.nextInt(250), 0, 250).toArray();
      System.arraycopy(shared, 0, tokens, 0, common);
      requests.add(new Request(i, tokens, params, i % 3 == 0 ? KvMode.DENSE : KvMode.SHADOW));
    }
    return requests;
  }

  private static Map<Long, Completion> run(
      EngineConfig config, List<Request> requests, Consumer<Scheduler> beforeStep)
      throws IOException {
    return run(Backend.open("cpu", config.threads()), config, requests, beforeStep);
  }

  private static Map<Long, Completion> run(
      Kernels kernels, EngineConfig config, List<Request> requests, Consumer<Scheduler> beforeStep)
      throws IOException {
    try (Engine engine = Engine.open(config, kernels, beforeStep)) {
      return answers(engine, requests);
    }
  }

  private static Map<Long, Completion> answers(Engine engine, List<Request> requests) {
    Map<Long, Completion> answers = new TreeMap<>();
    Iterator<Completion> completions = engine.run(requests.iterator(), () -> false);
    while (completions.hasNext()) {
      Completion c = completions.next();
      assertThat(c.error()).isNull();
      assertThat(answers.put(c.id(), c)).isNull();
    }
    assertThat(answers).hasSize(requests.size());
    return answers;
  }

  private static void assertSame(Map<Long, Completion> found, Map<Long, Completion> expected) {
    for (Completion c : expected.values()) {
      Completion other = found.get(c.id());
      assertThat(other.tokenIds()).as("request %d", c.id()).isEqualTo(c.tokenIds());
      assertThat(other.kvMode()).isEqualTo(c.kvMode());
    }
  }

  @Test
  void answersAreTheSameBitsUnderAllSwitchesAndOrders() throws IOException {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      List<Request> requests = requests();
      Map<Long, Completion> expected = run(config(codec, 600, 200), requests, s -> {});
      assertThat(expected.values())
          .filteredOn(c -> c.kvMode() == KvMode.SHADOW)
          .hasSizeGreaterThan(10);
      for (PrefixReuse reuse : PrefixReuse.values()) {
        List<Request> shuffled = new ArrayList<>(requests);
        Collections.shuffle(shuffled, random);
        EngineConfig roomy = config(codec, 600, 16 + random.nextInt(200));
        assertSame(run(roomy.with(reuse, PrefixAttention.SHARED), shuffled, s -> {}), expected);
        EngineConfig tight = config(codec, 11, 64);
        assertSame(run(tight.with(reuse, PrefixAttention.SEPARATE), shuffled, s -> {}), expected);
      }
      EngineConfig one = config(codec, 600, 100).with(PrefixReuse.OFF, PrefixAttention.SHARED, 1);
      assertSame(run(one, requests, s -> {}), expected);
    }
  }

  @Test
  void answersAreTheSameBitsInMemoryThatTheHostDoesNotSee() throws IOException {
    List<Request> requests = requests();
    // Not with picks in common: what a row reads then depends on who else is in its step, and which
    // step a request joins depends on when it arrives. HiddenMemoryTest has those, step by step.
    for (ShadowSpec spec : List.of(SPEC, SPEC.chunks(4))) {
      EngineConfig config = config(KvCodec.FP16, 600, 200).with(spec, HostMemory.of(1 << 28));
      Map<Long, Completion> expected = run(config, requests, s -> {});
      Kernels hidden = HiddenMemoryKernels.over(Backend.open("cpu", config.threads()));
      assertSame(run(hidden, config, requests, s -> {}), expected);
    }
  }

  @Test
  void answersAreTheSameBitsWhenEveryOtherStepTakesASequencesMemory() throws IOException {
    List<Request> requests = requests();
    EngineConfig config = config(KvCodec.INT8, 600, 200);
    Map<Long, Completion> expected = run(config, requests, s -> {});
    assertSame(run(config, requests, this::preempt), expected);
  }

  private void preempt(Scheduler scheduler) {
    List<Sequence> running = scheduler.running();
    if (running.size() < 2 || random.nextBoolean()) return;
    scheduler.preempt(running.get(1 + random.nextInt(running.size() - 1)));
  }

  @Test
  void denseRequestsDoNotNoticeTheOthers() throws IOException {
    List<Request> requests = requests();
    Map<Long, Completion> mixed = run(config(KvCodec.INT8, 600, 200), requests, s -> {});
    List<Request> dense = requests.stream().map(r -> r.with(KvMode.DENSE)).toList();
    EngineConfig plain = config(KvCodec.INT8, 600, 200).with(null, HostMemory.of(0));
    Map<Long, Completion> exact = run(plain, dense, s -> {});
    int others = 0;
    for (Request r : requests) {
      Completion c = mixed.get(r.id());
      if (c.kvMode() == KvMode.DENSE) {
        assertThat(c.tokenIds()).isEqualTo(exact.get(r.id()).tokenIds());
      } else {
        others += java.util.Arrays.equals(c.tokenIds(), exact.get(r.id()).tokenIds()) ? 0 : 1;
      }
    }
    assertThat(others).as("answers that reading in part changed").isPositive();
  }

  @Test
  void promptsOfWhichNothingWouldBeLeftOutAreDense() throws IOException {
    SamplingParams params = SamplingParams.GREEDY.withLengths(0, 4);
    // 7 chunks are read: the first page has 8, with 32 exact tokens behind it.
    Request below = new Request(0, random.ints(95, 0, 250).toArray(), params, KvMode.SHADOW);
    Request above = new Request(1, random.ints(96, 0, 250).toArray(), params, KvMode.SHADOW);
    Map<Long, Completion> found =
        run(config(KvCodec.INT8, 600, 200), List.of(below, above), s -> {});
    assertThat(found.get(0L).kvMode()).isEqualTo(KvMode.DENSE);
    assertThat(found.get(1L).kvMode()).isEqualTo(KvMode.SHADOW);
  }

  @Test
  void canaryComparesASampleAndHoldsNothingBack() throws IOException {
    EngineConfig config =
        config(KvCodec.INT8, 600, 200).with(SPEC.with(256, 2), HostMemory.of(1 << 28));
    SamplingParams params = SamplingParams.GREEDY.withLengths(0, 12);
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      requests.add(new Request(i, random.ints(400, 0, 250).toArray(), params, KvMode.SHADOW));
    }
    try (Engine engine = Engine.open(config)) {
      answers(engine, requests);
      CanaryMetrics canary = engine.metrics().canary();
      System.out.println(canary);
      assertThat(canary.rows()).isEqualTo(6);
      assertThat(canary.positions()).isBetween(canary.rows(), 11 * canary.rows());
      assertThat(canary.klMean()).isBetween(1e-6, 1.0); // random weights: any number, but not none
      assertThat(canary.agreement()).isBetween(0.0, 1.0);
      assertThat(engine.metrics().traffic().rows()).isGreaterThanOrEqualTo(canary.positions());
    }
  }
}
