package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Tensor;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** T8: what keys of low rank do to scores and weights is bounded by the errors of the keys. */
class KeyErrorTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final int HEADS = 2;
  private static final int D = 64;
  private static final int TOKENS = 512;
  private static final float SCALE = 0.125f;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @ParameterizedTest
  @CsvSource({
    "FP16,LOWRANK_FP16,16",
    "FP16,LOWRANK_INT8,32",
    "FP16,LOWRANK_FP16,128",
    "INT8,LOWRANK_INT8,32",
    "INT8,LOWRANK_FP16,64"
  })
  void scoresAndWeightsMoveNoFurtherThanTheKeys(KvCodec codec, KeyStore store, int rank) {
    KvLayout layout = new KvLayout(codec, 1, HEADS, D);
    try (Kernels kernels = Backend.open("cpu", 2);
        KeyPages pages = new KeyPages(kernels, layout, TOKENS)) {
      Tensor[] exact = pages.append(new KeyPages.Source(SEED, HEADS * D, 40, 0.3f).next(TOKENS), 0);
      Tensor[] rebuilt = rebuilt(pages, new FactorLayout(layout, store, rank), exact);
      float[][] keys = pages.plain(0, exact, 0); // RoPE changes no length
      float[][] others = pages.plain(0, rebuilt, 0);
      Random random = new Random(SEED);
      double closest = 0;
      for (int n = 0; n < 20; n++) {
        float[] query = new float[HEADS * D];
        for (int i = 0; i < query.length; i++) query[i] = (float) random.nextGaussian();
        double[][] a = logWeights(pages, exact, query);
        double[][] b = logWeights(pages, rebuilt, query);
        for (int head = 0; head < HEADS; head++) {
          double most = 0;
          double lse = a[HEADS][head] - b[HEADS][head];
          for (int t = 0; t < TOKENS; t++) {
            double moved = Math.abs(a[head][t] - b[head][t] + lse);
            double bound = SCALE * length(query, null, head) * length(keys[t], others[t], head);
            // Queries of INT8 are rounded too; sums have the error of floats.
            assertThat(moved).as("score of %d", t).isLessThanOrEqualTo(1.02 * bound + 1e-4);
            most = Math.max(most, moved);
            closest = Math.max(closest, moved / bound);
          }
          for (int t = 0; t < TOKENS; t++) {
            double factor = Math.abs(a[head][t] - b[head][t]);
            assertThat(factor)
                .as("log of the weight's factor")
                .isLessThanOrEqualTo(2 * most + 1e-4);
          }
        }
      }
      System.out.printf("%s %s rank %d: closest to the bound %.3f%n", codec, store, rank, closest);
      assertThat(closest).as("keys that differ").isGreaterThan(0.1);
    }
  }

  private static Tensor[] rebuilt(KeyPages pages, FactorLayout layout, Tensor[] exact) {
    LowRankKeys lowRank = new LowRankKeys(pages.kernels, layout, pages.rope, 2);
    try (LowRankBasis basis = lowRank.first(exact)) {
      Tensor[] factors = pages.pages(exact.length, layout.pageBytes());
      lowRank.write(basis, exact, 0, factors);
      Tensor[] result = pages.pages(exact.length, (int) pages.layout.halfBytes());
      KeyChunks chunks = new KeyChunks(8);
      for (int c = 0; c < TOKENS / 8; c++) {
        var source = new KeyChunks.Source(factors[c / 8], c % 8, basis.layer(0));
        chunks.add(source, 8 * c, result[c / 8], c % 8, KeyChunks.ALL_HEADS);
      }
      pages.kernels.lowRank().rebuildKeys(layout, 0, chunks, pages.rope);
      return result;
    } finally {
      lowRank.close();
    }
  }

  /** Logarithms of the weights of each head, then the logarithms of the sums. */
  private static double[][] logWeights(KeyPages pages, Tensor[] keys, float[] query) {
    AttentionShape shape = new AttentionShape(pages.layout, HEADS, SCALE, 0);
    Tensor[] values = pages.pages(keys.length, (int) pages.layout.halfBytes());
    KvView view =
        new KvView(pages.layout, List.of(List.of(KvSegment.dense(keys, values, 0, TOKENS))));
    TokenBatch row =
        new TokenBatch(
            1, new int[1], new int[] {TOKENS - 1}, List.of(new Slice(0, 0, 1)), new int[0]);
    Tensor q = pages.tensor(new float[][] {query});
    Tensor out = pages.tensor(new float[1][HEADS * D]);
    Tensor state = pages.tensor(new float[1][2 * HEADS]);
    Tensor mass = pages.tensor(new float[HEADS][TOKENS]);
    pages.kernels.attend(shape, 0, q, row, view, pages.rope, out, state);
    pages.kernels.attentionMass(shape, 0, q, row, view, pages.rope, state, mass);
    double[][] result = new double[HEADS + 1][TOKENS];
    for (int head = 0; head < HEADS; head++) {
      result[HEADS][head] = state.f32(0, 2 * head) + Math.log(state.f32(0, 2 * head + 1));
      for (int t = 0; t < TOKENS; t++) result[head][t] = Math.log(mass.f32(head, t));
    }
    return result;
  }

  /** Of a head of a, or of its difference to b. */
  private static double length(float[] a, float[] b, int head) {
    double squares = 0;
    for (int i = D * head; i < D * head + D; i++) {
      squares += Math.pow(a[i] - (b == null ? 0 : b[i]), 2);
    }
    return Math.sqrt(squares);
  }
}
