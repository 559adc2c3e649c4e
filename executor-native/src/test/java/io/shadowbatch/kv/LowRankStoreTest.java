package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Part;
import io.shadowbatch.kv.StoreRig.Sizes;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Prompts whose keys are held as factors of low rank, and read through slots. */
class LowRankStoreTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261126L);
  private static final Sizes SIZES = new Sizes(KvCodec.FP16, 2, 2, 3, 64);
  private static final int WIDTH = 128;
  private static final int PROMPT = 2300;

  private static final ShadowSpec SPEC =
      new ShadowSpec(8, 128, 4, 32, 0, Attend.PRIVATE, KeyStore.LOWRANK_FP16, 32);

  private final Random random = new Random(SEED);
  private final Kernels kernels = Backend.open("cpu", 2);
  private final List<StoreRig> open = new ArrayList<>();

  @BeforeEach
  void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @AfterEach
  void close() {
    open.forEach(StoreRig::close);
    kernels.close();
  }

  private StoreRig rig(Sizes sizes, ShadowSpec spec) {
    KvStore store =
        new ShadowKvStore(
            kernels,
            sizes.shapes(),
            StoreRig.rope(kernels, sizes, 8192),
            spec,
            400 * sizes.layout().pageBytes(),
            HostMemory.of(1 << 30),
            PrefixAttention.SHARED);
    StoreRig rig = new StoreRig(kernels, sizes, store);
    open.add(rig);
    return rig;
  }

  /** Computes a prompt in steps, seals it, and decodes what follows row by row. */
  private static List<float[][][]> decode(StoreRig rig, int id, int[] tokens, int prompt) {
    prefill(rig, id, tokens, 0, prompt);
    List<float[][][]> rows = new ArrayList<>();
    for (int i = prompt; i < tokens.length; i++) rows.add(rig.step(new Part(id, tokens, i, i + 1)));
    return rows;
  }

  private static void prefill(StoreRig rig, int id, int[] tokens, int from, int prompt) {
    for (int at = from; at < prompt; at += 512) {
      rig.step(new Part(id, tokens, at, Math.min(prompt, at + 512)));
    }
    rig.store.seal(id, prompt);
  }

  private static double error(List<float[][][]> a, List<float[][][]> b) {
    double difference = 0;
    double size = 0;
    for (int i = 0; i < a.size(); i++) {
      for (int layer = 0; layer < a.get(i).length; layer++) {
        for (int j = 0; j < a.get(i)[layer][0].length; j++) {
          double d = a.get(i)[layer][0][j] - b.get(i)[layer][0][j];
          difference += d * d;
          size += b.get(i)[layer][0][j] * (double) b.get(i)[layer][0][j];
        }
      }
    }
    return Math.sqrt(difference / size);
  }

  @ParameterizedTest
  @CsvSource({"LOWRANK_FP16,0.02", "LOWRANK_INT8,0.08"})
  void fullRankAndBudgetAreDenseButForRounding(KeyStore keys, double most) {
    int[] tokens = StoreRig.tokens(random, PROMPT + 4);
    KvStore full =
        new FullKvStore(
            kernels,
            SIZES.shapes(),
            StoreRig.rope(kernels, SIZES, 8192),
            100 * SIZES.layout().pageBytes());
    StoreRig dense = new StoreRig(kernels, SIZES, full);
    open.add(dense);
    List<float[][][]> expected = decode(dense, 0, tokens, PROMPT);
    List<float[][][]> found =
        decode(rig(SIZES, SPEC.with(8192, 4).holding(keys, WIDTH)), 0, tokens, PROMPT);
    assertThat(error(found, expected)).isBetween(1e-7, most);
    List<float[][][]> coarse =
        decode(rig(SIZES, SPEC.with(8192, 4).holding(keys, 16)), 0, tokens, PROMPT);
    assertThat(error(coarse, expected)).isGreaterThan(error(found, expected));
  }

  /** T15: keys that stay in slots are those that are made anew. */
  @Test
  void whatASlotHeldBeforeDoesNotMatter() {
    int[] a = StoreRig.tokens(random, PROMPT + 200);
    int[] b = StoreRig.tokens(random, PROMPT + 200);
    List<float[][][]> alone = decode(rig(SIZES, SPEC), 0, a, PROMPT);
    StoreRig both = rig(SIZES, SPEC);
    prefill(both, 0, a, 0, PROMPT);
    prefill(both, 1, b, 0, PROMPT);
    for (int i = 0; i < 200; i++) {
      // Now together, now alone: hits and misses come in another order than in the other store.
      int at = PROMPT + i;
      if (i % 3 == 0) both.step(new Part(1, b, PROMPT + i / 3, PROMPT + i / 3 + 1));
      float[][][] rows = both.step(new Part(0, a, at, at + 1));
      assertThat(rows).isDeepEqualTo(alone.get(i));
    }
    KvTraffic traffic = both.store.traffic();
    assertThat(traffic.hits()).isPositive();
    assertThat(traffic.misses()).isPositive();
    assertThat((traffic.hits() + traffic.misses()) * 8).isEqualTo(traffic.tokensRead());
  }

  @Test
  void aGroupSharesFactorsAndAnswersAsIfAlone() {
    int[] prefix = StoreRig.tokens(random, 4300);
    List<int[]> prompts = new ArrayList<>();
    for (int suffix : new int[] {10, 150, 1, 70}) {
      prompts.add(StoreRig.join(prefix, StoreRig.tokens(random, suffix + 3)));
    }
    List<List<float[][][]>> alone = new ArrayList<>();
    for (int[] tokens : prompts) {
      StoreRig rig = rig(SIZES, SPEC);
      alone.add(decode(rig, 0, tokens, tokens.length - 3));
      rig.close();
      open.remove(rig);
    }
    StoreRig group = rig(SIZES, SPEC);
    prefill(group, 0, prompts.get(0), 0, prompts.get(0).length - 3);
    for (int id = 1; id < prompts.size(); id++) {
      KvSpan span = group.store.share(0, 0, 4288);
      group.store.attach(id, span, 0);
      span.close();
      prefill(group, id, prompts.get(id), 4288, prompts.get(id).length - 3);
    }
    long bytes = group.store.usage().deviceBytes();
    for (int step = 0; step < 3; step++) {
      Part[] parts = new Part[prompts.size()];
      for (int i = 0; i < parts.length; i++) {
        int at = prompts.get(i).length - 3 + step;
        parts[i] = new Part(i, prompts.get(i), at, at + 1);
      }
      float[][][] rows = group.step(parts);
      for (int i = 0; i < parts.length; i++) {
        for (int layer = 0; layer < SIZES.layers(); layer++) {
          assertThat(rows[layer][i]).isEqualTo(alone.get(i).get(step)[layer][0]);
        }
      }
    }
    assertThat(group.store.usage().deviceBytes()).isGreaterThanOrEqualTo(bytes);
    for (int i = 0; i < prompts.size(); i++) group.store.release(i);
    assertThat(group.store.usage().deviceBytes()).isZero();
    assertThat(group.store.usage().hostBytes()).isZero();
  }

  @Test
  void bytesAreThoseOfTheFormula() {
    for (KeyStore keys : List.of(KeyStore.LOWRANK_FP16, KeyStore.LOWRANK_INT8)) {
      ShadowSpec spec = SPEC.holding(keys, 48);
      StoreRig rig = rig(SIZES, spec);
      int[] tokens = StoreRig.tokens(random, PROMPT);
      prefill(rig, 0, tokens, 0, PROMPT);
      KvLayout layout = SIZES.layout();
      FactorLayout factors = new FactorLayout(layout, keys, 48);
      long sparse = (PROMPT - 32) / 64;
      long dense = (PROMPT + 63) / 64 - sparse;
      long slots = (16 + 5 + 7) / 8; // budget and exact chunks in pages of eight
      long table = 4L * (1 + 5) * layout.layers() * layout.kvHeads();
      long device =
          sparse * (factors.pageBytes() + new LandmarkLayout(layout, 8).pageBytes())
              + (dense + slots) * layout.pageBytes()
              + factors.basisBytes()
              + table;
      assertThat(rig.store.usage().deviceBytes()).isEqualTo(device);
      assertThat(rig.store.usage().hostBytes()).isEqualTo(sparse * layout.pageBytes());
    }
  }

  @Test
  void promptsBelowASegmentAreReadExactly() {
    assertThat(SPEC.sparseTokens(2079)).isZero();
    assertThat(SPEC.sparseTokens(2080)).isEqualTo(2048);
    assertThat(SPEC.leavesOut(2079)).isFalse();
  }

  @Test
  void aStoreThatDoesNotFitTheCodecIsRefused() {
    assertThatThrownBy(() -> rig(SIZES, SPEC.holding(KeyStore.EXACT_INT8, 0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("EXACT_INT8");
    assertThatThrownBy(() -> SPEC.holding(KeyStore.EXACT_FP16, 16)).hasMessageContaining("rank 16");
    assertThatThrownBy(() -> rig(SIZES, SPEC.holding(KeyStore.LOWRANK_INT8, 40)))
        .hasMessageContaining("rank");
  }
}
