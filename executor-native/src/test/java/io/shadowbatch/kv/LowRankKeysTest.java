package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Prompts' keys through bases and factors and back. */
class LowRankKeysTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260105L);
  private static final int HEADS = 2;
  private static final int WIDTH = HEADS * 64;
  private static final int SEGMENT = LowRankKeys.SEGMENT_TOKENS;

  /** Kernels, pages of a codec and a store of a rank. */
  private static final class Setup implements AutoCloseable {
    final Kernels kernels;
    final KeyPages pages;
    final FactorLayout layout;
    final LowRankKeys lowRank;

    Setup(String backend, int threads, KvCodec codec, KeyStore store, int rank) {
      kernels = Backend.open(backend, threads);
      pages = new KeyPages(kernels, new KvLayout(codec, 2, HEADS, 64), 3 * SEGMENT);
      layout = new FactorLayout(pages.layout, store, rank);
      lowRank = new LowRankKeys(kernels, layout, pages.rope, threads);
    }

    Setup(KvCodec codec, KeyStore store, int rank) {
      this("cpu", 2, codec, store, rank);
    }

    Tensor[] factors(LowRankBasis basis, Tensor[] keys, int firstPosition) {
      Tensor[] factors = pages.pages(keys.length, layout.pageBytes());
      lowRank.write(basis, keys, firstPosition, factors);
      return factors;
    }

    /** The keys before RoPE of pages rebuilt from factors, {@code shift} positions off. */
    float[][] rebuilt(LowRankBasis basis, Tensor[] factors, int firstPosition, int shift) {
      Tensor[] keys = pages.pages(factors.length, (int) pages.layout.halfBytes());
      for (int layer = 0; layer < 2; layer++) {
        KeyChunks chunks = new KeyChunks(8);
        for (int c = 0; c < 8 * factors.length; c++) {
          var source = new KeyChunks.Source(factors[c / 8], c % 8, basis.layer(layer));
          int position = firstPosition + 8 * c + shift;
          chunks.add(source, position, keys[c / 8], c % 8, KeyChunks.ALL_HEADS);
        }
        kernels.lowRank().rebuildKeys(layout, layer, chunks, pages.rope);
      }
      return pages.plain(1, keys, firstPosition);
    }

    @Override
    public void close() {
      lowRank.close();
      pages.close();
      kernels.close();
    }
  }

  private static KeyPages.Source source(int number, float bias) {
    return new KeyPages.Source(SEED + number, WIDTH, 40, bias);
  }

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** T4, with the sums of the kernels: near enough to the best of a decomposition in double. */
  @Test
  void theErrorIsThatOfASingularValueDecompositionAlsoWithALargeBias() {
    for (float bias : new float[] {0, 100}) {
      float[][] rows = source(0, bias).next(512);
      double[] mean = mean(rows);
      double[] singular = LayerKeysTest.singularValues(rows, mean);
      try (Setup s = new Setup("reference", 1, KvCodec.F32, KeyStore.LOWRANK_FP16, 32)) {
        Tensor[] keys = s.pages.append(rows, 0);
        try (LowRankBasis basis = s.lowRank.first(keys)) {
          float[][] again = s.rebuilt(basis, s.factors(basis, keys, 0), 0, 0);
          double best = Math.sqrt(LayerKeysTest.squares(singular, 32));
          assertThat(distance(rows, again) / best).as("bias %s", bias).isBetween(0.999, 1.001);
        }
      }
    }
  }

  /** T5: subtracting the mean keeps biases out of the factors. */
  @Test
  void aBiasAHundredTimesAsLargeCostsNothing() {
    for (KeyStore store : List.of(KeyStore.LOWRANK_FP16, KeyStore.LOWRANK_INT8)) {
      double[] error = new double[2];
      for (int i = 0; i < 2; i++) {
        float[][] rows = source(1, 100 * i).next(256);
        try (Setup s = new Setup("reference", 1, KvCodec.F32, store, 32)) {
          Tensor[] keys = s.pages.append(rows, 0);
          try (LowRankBasis basis = s.lowRank.first(keys)) {
            error[i] = distance(rows, s.rebuilt(basis, s.factors(basis, keys, 0), 0, 0));
          }
        }
      }
      assertThat(error[1] / error[0]).as(store.name()).isBetween(0.98, 1.02);
    }
  }

  /** A full rank leaves only the errors of the codec and of the factors. */
  @Test
  void aFullRankGivesTheStoredKeysBack() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (KeyStore store : List.of(KeyStore.LOWRANK_INT8, KeyStore.LOWRANK_FP16)) {
        try (Setup s = new Setup(codec, store, WIDTH)) {
          Tensor[] keys = s.pages.append(source(2, 1).next(256), 0);
          float[][] stored = s.pages.plain(1, keys, 0);
          try (LowRankBasis basis = s.lowRank.first(keys)) {
            float[][] again = s.rebuilt(basis, s.factors(basis, keys, 0), 0, 0);
            boolean coarse = codec == KvCodec.INT8 || store == KeyStore.LOWRANK_INT8;
            assertThat(distance(stored, again) / norm(stored))
                .as(codec + " " + store)
                .isLessThan(coarse ? 0.02 : 0.002);
          }
        }
      }
    }
  }

  /** T16: a rebuilt key stands at its own position; one beside it would be seen. */
  @Test
  void positionsAreTheOriginalOnes() {
    float[][] rows = source(3, 1).next(256);
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      try (Setup s = new Setup(codec, KeyStore.LOWRANK_FP16, 64)) {
        Tensor[] keys = s.pages.append(rows, 0);
        try (LowRankBasis basis = s.lowRank.first(keys)) {
          Tensor[] factors = s.factors(basis, keys, 0);
          assertThat(distance(rows, s.rebuilt(basis, factors, 0, 0)) / norm(rows)).isLessThan(0.03);
          assertThat(distance(rows, s.rebuilt(basis, factors, 0, 1)) / norm(rows))
              .isGreaterThan(0.05);
        }
      }
    }
  }

  /** T20, and what follows from it: text that goes on keeps its basis, foreign text does not. */
  @Test
  void aContinuationKeepsTheBasisAndForeignKeysGetTheirOwn() {
    KeyPages.Source source = source(4, 1);
    float[][] prefix = source.next(SEGMENT);
    float[][] more = source.next(SEGMENT);
    float[][] foreign = source(5, 1).next(SEGMENT);
    try (Setup s = new Setup(KvCodec.INT8, KeyStore.LOWRANK_FP16, 48)) {
      Tensor[] keys = s.pages.append(prefix, 0);
      Tensor[] next = s.pages.append(more, SEGMENT);
      Tensor[] other = s.pages.append(foreign, SEGMENT);
      LowRankBasis basis = s.lowRank.first(keys);
      double own = distance(prefix, s.rebuilt(basis, s.factors(basis, keys, 0), 0, 0));
      Tensor[] factors = s.factors(basis, next, SEGMENT);
      assertThat(distance(more, s.rebuilt(basis, factors, SEGMENT, 0)))
          .isLessThanOrEqualTo(1.6 * own);
      factors = s.factors(basis, other, SEGMENT);
      double bad = distance(foreign, s.rebuilt(basis, factors, SEGMENT, 0));
      assertThat(bad).isGreaterThanOrEqualTo(5 * own);

      assertThat(s.lowRank.extend(basis, next, SEGMENT)).isSameAs(basis);
      LowRankBasis extended = s.lowRank.extend(basis, other, SEGMENT);
      assertThat(extended).isNotSameAs(basis);
      factors = s.factors(extended, other, SEGMENT);
      assertThat(distance(foreign, s.rebuilt(extended, factors, SEGMENT, 0)))
          .isLessThanOrEqualTo(1.6 * own);
      assertThat(extended.bytes()).isEqualTo(s.layout.basisBytes());
      extended.close();
      basis.close();
    }
  }

  @Test
  void onlyLayersThatNeedItGetABasisOfTheirOwn() {
    KeyPages.Source source = source(6, 1);
    float[][] prefix = source.next(SEGMENT);
    float[][] more = source.next(SEGMENT);
    try (Setup s = new Setup(KvCodec.INT8, KeyStore.LOWRANK_INT8, 48)) {
      Tensor[] next = s.pages.append(more, SEGMENT);
      Tensor[] other = s.pages.append(source(7, 1).next(SEGMENT), SEGMENT);
      int half = s.pages.layout.layerBytes();
      for (int p = 0; p < next.length; p++) {
        byte[] layer = new byte[half];
        other[p].storage().bytes().get((int) other[p].at(0, half), layer);
        next[p].storage().bytes().put((int) next[p].at(0, half), layer);
      }
      try (LowRankBasis basis = s.lowRank.first(s.pages.append(prefix, 0));
          LowRankBasis extended = s.lowRank.extend(basis, next, SEGMENT)) {
        assertThat(extended.layer(0)).isSameAs(basis.layer(0));
        assertThat(extended.layer(1)).isNotSameAs(basis.layer(1));
        assertThat(extended.bytes()).isEqualTo(s.layout.layerBasisBytes());
      }
    }
  }

  /** T17 of a basis: threads, backends and calls in between change no bit of factors. */
  @Test
  void basesAndFactorsAreTheSameBitsOnAllBackends() {
    float[][] rows = source(8, 1).next(192);
    byte[] expected = null;
    for (String backend : List.of("reference", "cpu", "cpu")) {
      int threads = expected == null ? 1 : 3;
      try (Setup s = new Setup(backend, threads, KvCodec.INT8, KeyStore.LOWRANK_INT8, 32)) {
        Tensor[] keys = s.pages.append(rows, 0);
        try (LowRankBasis basis = s.lowRank.first(keys)) {
          Tensor last = s.factors(basis, keys, 0)[2];
          byte[] bytes = new byte[last.columns()];
          last.storage().bytes().get((int) last.byteOffset(), bytes);
          if (expected == null) expected = bytes;
          assertThat(Arrays.mismatch(bytes, expected)).as(s.kernels.describe()).isEqualTo(-1);
        }
      }
    }
  }

  @Test
  void bytesAreWhatTheFormulaSays() {
    KvLayout kv = new KvLayout(KvCodec.INT8, 30, 3, 64);
    FactorLayout half = new FactorLayout(kv, KeyStore.LOWRANK_FP16, 64);
    FactorLayout int8 = new FactorLayout(kv, KeyStore.LOWRANK_INT8, 64);
    assertThat(half.pageBytes()).isEqualTo(30 * 64 * 64 * 2);
    assertThat(int8.pageBytes()).isEqualTo(30 * 64 * (64 + 4));
    assertThat(int8.basisBytes()).isEqualTo(30 * (64 * 192 * 2 + 192 * 4));
    assertThat(new FactorLayout(kv, KeyStore.EXACT_INT8, 0).pageBytes()).isZero();
  }

  @Test
  void refusalsSayWhatIsNeeded() {
    KvLayout kv = new KvLayout(KvCodec.INT8, 2, HEADS, 64);
    refused(() -> new FactorLayout(kv, KeyStore.LOWRANK_INT8, 40), "LOWRANK_INT8 of rank 40");
    refused(() -> new FactorLayout(kv, KeyStore.LOWRANK_INT8, 144), "all heads, 128");
    refused(() -> new FactorLayout(kv, KeyStore.EXACT_FP16, 0), "EXACT_FP16 of rank 0 on pages of");
    refused(() -> new KeyChunks(12), "12 tokens: 4, 8 or 16");
    try (Setup s = new Setup(KvCodec.INT8, KeyStore.LOWRANK_INT8, 32)) {
      Tensor[] keys = s.pages.append(source(9, 1).next(64), 0);
      try (LowRankBasis basis = s.lowRank.first(keys)) {
        refused(() -> s.lowRank.extend(basis, keys, SEGMENT), "1 pages from position 2048");
        refused(() -> s.lowRank.first(new Tensor[0]), "0 pages from position 0");
        refused(
            () -> s.lowRank.write(basis, keys, 7, s.pages.pages(1, s.layout.pageBytes())),
            "positions 7..71, a multiple of 64");
        refused(
            () -> s.lowRank.write(basis, keys, 0, s.pages.pages(1, 64)),
            "project: factor page: needs U8 [1,%d], got U8 [1,64]".formatted(s.layout.pageBytes()));
        KeyChunks chunks = new KeyChunks(8);
        Tensor[] factors = s.factors(basis, keys, 0);
        chunks.add(new KeyChunks.Source(factors[0], 8, basis.layer(0)), 0, keys[0], 0, 0);
        refused(
            () -> s.kernels.lowRank().rebuildKeys(s.layout, 0, chunks, s.pages.rope),
            "item 0 is chunk 8 into chunk 0 of 8 a page");
      }
    }
  }

  private static void refused(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String part) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(part);
  }

  private static double[] mean(float[][] x) {
    double[] mean = new double[x[0].length];
    for (float[] row : x) {
      for (int j = 0; j < mean.length; j++) mean[j] += (double) row[j] / x.length;
    }
    return mean;
  }

  /** Of the rows from one another, over all of them. */
  private static double distance(float[][] a, float[][] b) {
    double sum = 0;
    for (int t = 0; t < a.length; t++) {
      for (int j = 0; j < a[t].length; j++) sum += Math.pow((double) a[t][j] - b[t][j], 2);
    }
    return Math.sqrt(sum);
  }

  private static double norm(float[][] x) {
    double sum = 0;
    for (float[] row : x) for (float v : row) sum += (double) v * v;
    return Math.sqrt(sum);
  }
}
