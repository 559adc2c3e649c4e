package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.cuda.StandIn;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.schedule.PrefixReuse;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The whole engine over CUDA: on a GPU where there is one, else on the stand-in. */
@Timeout(300)
class CudaEngineTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final long PAGE = 2L * 2 * 2 * (2 * 64 * 32 + 192);

  /** Nats that 8-bit products on one side and bfloat16 on the other move random models by. */
  private static final double DOUBT = 0.1;

  private static final ShadowSpec SHADOW = ShadowSpec.STANDARD.with(64, 2).from(0);

  @TempDir Path folder;
  private final Random random = new Random(SEED);

  @BeforeEach
  void printSeed() {
    StandIn.require();
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  private EngineConfig config(String backend, Path model, int pages, int batchTokens) {
    return new EngineConfig(
        model, backend, 2, pages * PAGE, batchTokens, 0, KvCodec.FP16, folder.resolve("packs"));
  }

  /** Two groups behind 130 and 200 tokens, and some that share nothing. */
  private List<Request> requests(int count, int out, KvMode mode) {
    SamplingParams params =
        new SamplingParams(out, out, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, 2, true);
    int[] shared = random.ints(200, 0, 250).toArray();
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int common = i % 3 == 0 ? 0 : i % 3 == 1 ? 130 : 200;
      int[] tokens = random.ints(common + 1 + random.nextInt(90), 0, 250).toArray();
      System.arraycopy(shared, 0, tokens, 0, common);
      requests.add(new Request(i, tokens, params, mode));
    }
    return requests;
  }

  private static Map<Long, Completion> run(EngineConfig config, List<Request> requests)
      throws IOException {
    try (Engine engine = Engine.open(config)) {
      Map<Long, Completion> answers = new TreeMap<>();
      Iterator<Completion> completions = engine.run(requests.iterator(), () -> false);
      while (completions.hasNext()) {
        Completion c = completions.next();
        assertThat(answers.put(c.id(), c)).isNull();
      }
      return answers;
    }
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void greedyTokensAreTheCpusInEveryFamily(Family family) throws IOException {
    Path model = TinyModels.write(folder.resolve("model"), family, SEED);
    List<Request> requests = requests(9, 8, KvMode.DENSE);
    Map<Long, Completion> expected = run(config("cpu", model, 100, 128), requests);
    GreedyAgreement agreement = new GreedyAgreement(DOUBT);
    agreement.compare(run(config("cuda", model, 100, 128), requests), expected);
    agreement.requireShare(family + ", dense", 0.5);
  }

  @Test
  void sharedAttentionAndLittleMemoryGiveTheSameTokens() throws IOException {
    Path model = TinyModels.write(folder.resolve("model"), Family.LLAMA, SEED);
    List<Request> requests = requests(12, 10, KvMode.DENSE);
    Map<Long, Completion> expected = run(config("cpu", model, 100, 64), requests);
    for (PrefixAttention attention : PrefixAttention.values()) {
      EngineConfig config =
          config("cuda", model, 11, 64).with(PrefixReuse.PLANNED, attention); // preempts
      GreedyAgreement agreement = new GreedyAgreement(DOUBT);
      agreement.compare(run(config, requests), expected);
      agreement.requireShare(attention.toString(), 0.5);
    }
  }

  /** Goal: draws of all kinds in one step do not meddle with each other. */
  @Test
  void drawnTokensDependOnNoCompany() throws IOException {
    Path model = TinyModels.write(folder.resolve("model"), Family.LLAMA, SEED);
    List<Request> requests = new ArrayList<>();
    for (Request r : requests(12, 10, KvMode.DENSE)) {
      int i = (int) r.id();
      double topP = i % 2 == 0 ? 1 : 0.9;
      double repetition = i % 3 == 0 ? 1.2 : 1;
      int least = i % 5 == 0 ? 8 : 0;
      SamplingParams params =
          new SamplingParams(
              10,
              least,
              i % 4 * 0.4,
              topP,
              i % 6 * 9,
              0,
              i,
              List.of(),
              List.of(),
              0,
              0,
              repetition,
              i % 3 - 1,
              false);
      requests.add(new Request(i, r.tokens(), params));
    }
    Map<Long, Completion> together = run(config("cuda", model, 100, 64), requests);
    assertThat(together).hasSize(12);
    for (Request r : requests) {
      Completion alone = run(config("cuda", model, 100, 64), List.of(r)).get(r.id());
      Completion c = together.get(r.id());
      assertThat(c.tokenIds()).as("request %d, seed %d", r.id(), SEED).isEqualTo(alone.tokenIds());
      assertThat(c.logprobs()).isEqualTo(alone.logprobs());
    }
  }

  @Test
  void promptsReadInPartSayWhatTheCpusDo() throws IOException {
    Path model = TinyModels.write(folder.resolve("model"), Family.LLAMA, SEED);
    List<Request> requests = requests(8, 8, KvMode.SHADOW);
    HostMemory host = HostMemory.of(1 << 26);
    Map<Long, Completion> expected =
        run(config("cpu", model, 300, 128).with(SHADOW, host), requests);
    Map<Long, Completion> found = run(config("cuda", model, 300, 128).with(SHADOW, host), requests);
    GreedyAgreement agreement = new GreedyAgreement(DOUBT);
    agreement.compare(found, expected);
    agreement.requireShare("shadow", 0.4);
    assertThat(found.values()).anyMatch(c -> c.kvMode() == KvMode.SHADOW);
  }

  @Test
  void aLostDeviceEndsTheEngineAndTellsItsCallers() throws IOException {
    StandIn.requireFaults();
    Path model = TinyModels.write(folder.resolve("model"), Family.LLAMA, SEED);
    List<Request> requests = requests(4, 8, KvMode.DENSE);
    EngineConfig config = config("cuda", model, 100, 64);
    try (Engine engine = Engine.open(config)) {
      StandIn.set("FAIL", "launch:40");
      Iterator<Completion> completions = engine.run(requests.iterator(), () -> false);
      assertThatThrownBy(() -> completions.forEachRemaining(c -> {}))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("the engine failed")
          .hasMessageContaining("cannot use the GPU any more");
      assertThat(engine.alive()).isFalse();
    } finally {
      StandIn.set("FAIL", "");
    }
  }

  @Test
  void memoryThatTurnsOutToBeShortCostsNoAnswer() throws IOException {
    StandIn.requireFaults();
    Path model = TinyModels.write(folder.resolve("model"), Family.LLAMA, SEED);
    List<Request> requests = requests(9, 8, KvMode.DENSE);
    Map<Long, Completion> expected = run(config("cpu", model, 100, 64), requests);
    try (Engine engine = Engine.open(config("cuda", model, 2000, 64))) {
      StandIn.set("FAIL", "alloc:2"); // the second slab of pages cannot be had
      Map<Long, Completion> answers = new TreeMap<>();
      engine.run(requests.iterator(), () -> false).forEachRemaining(c -> answers.put(c.id(), c));
      GreedyAgreement agreement = new GreedyAgreement(DOUBT);
      agreement.compare(answers, expected);
      agreement.requireShare("short memory", 0.5);
    } finally {
      StandIn.set("FAIL", "");
    }
  }
}
