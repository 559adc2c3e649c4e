package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kv.PromptRig.Attended;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Sizes;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** T11, T12: tokens that the mean of their chunk hides. */
class PlantedOutliersTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final int PROMPT = 1472 + 32;
  private static final int HEADS = 3;
  private static final int GROUP = 3;
  private static final int WIDTH = 64 * HEADS;
  private static final int PLANTED = 12;
  private static final int BUDGET = 32;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** A prompt with one planted token in each of some chunks; queries look for them. */
  private static final class Planted {
    final float[][] keys;
    final float[][] values;
    final float[] query = new float[WIDTH * GROUP];
    final int[] chunks;

    /** The planted token outweighs what its neighbours have of the opposite. */
    Planted(long seed) {
      MadeKeys made = new MadeKeys(seed, WIDTH);
      Random random = new Random(seed);
      keys = made.keys(PROMPT + 1);
      values = made.values(PROMPT + 1);
      chunks = random.ints(1, 184).distinct().limit(PLANTED).sorted().toArray();
      float[] wanted = unit(made.noise(WIDTH, 1));
      for (int i = 0; i < query.length; i++) {
        query[i] = 12 * wanted[i / 64 / GROUP * 64 + i % 64];
      }
      for (int c : chunks) {
        int at = 8 * c + random.nextInt(8);
        float[] mean = new float[WIDTH];
        for (int t = 8 * c; t < 8 * c + 8; t++) {
          for (int i = 0; i < WIDTH; i++) mean[i] += keys[t][i] / 8;
        }
        for (int t = 8 * c; t < 8 * c + 8; t++) {
          for (int i = 0; i < WIDTH; i++) {
            if (t == at) keys[t][i] = 14 * wanted[i] - mean[i];
            else keys[t][i] -= 2 * wanted[i];
          }
        }
      }
    }

    /** Of length 1 in each head. */
    private static float[] unit(float[] x) {
      for (int head = 0; head < HEADS; head++) {
        double squares = 0;
        for (int i = 64 * head; i < 64 * head + 64; i++) squares += x[i] * x[i];
        for (int i = 64 * head; i < 64 * head + 64; i++) x[i] /= (float) Math.sqrt(squares);
      }
      return x;
    }
  }

  private interface Body {
    void of(PromptRig rig);
  }

  private static void with(KvCodec codec, int outliers, Body body) {
    Sizes sizes = new Sizes(codec, 2, HEADS, GROUP, 64);
    ShadowSpec spec = new ShadowSpec(8, 8 * BUDGET, outliers, 32, 0, Attend.PRIVATE, null, 0);
    try (Kernels kernels = Backend.open("cpu", 2);
        PromptRig rig =
            new PromptRig(kernels, sizes, spec, PromptRig.still(kernels, sizes, PROMPT + 1))) {
      body.of(rig);
    }
  }

  @Test
  void allPlantedTokensAreCaughtWithTheFirstChunkInEveryLayerAndHead() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (int run = 0; run < 4; run++) {
        Planted planted = new Planted(SEED + run);
        int[] expected = IntStream.concat(IntStream.of(0), Arrays.stream(planted.chunks)).toArray();
        with(
            codec,
            PLANTED,
            rig -> {
              rig.append(0, planted.keys, planted.values);
              rig.seal(0);
              for (int layer = 0; layer < 2; layer++) {
                for (int head = 0; head < HEADS; head++) {
                  assertThat(rig.exact(0, layer, head)).isEqualTo(expected);
                }
              }
            });
      }
    }
  }

  /** The first is there of itself; a spike in it uses up an outlier, for it is found as such. */
  @Test
  void theFirstChunkIsAlwaysThereAndFoundIfItHoldsASpike() {
    for (boolean spike : new boolean[] {false, true}) {
      Planted planted = new Planted(SEED);
      if (spike) for (int i = 0; i < WIDTH; i++) planted.keys[0][i] = -30 * planted.keys[1][i];
      for (int outliers : new int[] {0, 1, 5}) {
        with(
            KvCodec.INT8,
            outliers,
            rig -> {
              rig.append(0, planted.keys, planted.values);
              rig.seal(0);
              for (int layer = 0; layer < 2; layer++) {
                for (int head = 0; head < HEADS; head++) {
                  int[] exact = rig.exact(0, layer, head);
                  assertThat(exact[0]).isZero();
                  assertThat(exact).hasSize(outliers + (spike && outliers > 0 ? 0 : 1));
                }
              }
            });
      }
    }
  }

  @Test
  void theErrorFallsWithTheOutliersThatAreRead() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      double before = Double.MAX_VALUE;
      for (int outliers : new int[] {0, 2, 4, 8, 10, 12}) {
        double error = 0;
        for (int run = 0; run < 4; run++) error += error(codec, outliers, SEED + run) / 4;
        System.out.printf("%s, %d outlier chunks: error %.5f%n", codec, outliers, error);
        assertThat(error).as("%s, %d outlier chunks", codec, outliers).isLessThan(before);
        if (outliers == 0) assertThat(error).isGreaterThan(0.5);
        if (outliers == PLANTED) assertThat(error).isLessThan(0.001);
        before = error;
      }
    }
  }

  /** Mean over heads of the distance to dense by its size. */
  private static double error(KvCodec codec, int outliers, long seed) {
    Planted planted = new Planted(seed);
    double[] error = new double[1];
    with(
        codec,
        outliers,
        rig -> {
          rig.append(0, planted.keys, planted.values);
          rig.seal(0);
          Tensor q = rig.tensor(new float[][] {planted.query});
          Attended dense = rig.dense(1, List.of(0), q);
          Attended sparse = rig.sparse(1, List.of(0), q);
          for (int head = 0; head < HEADS * GROUP; head++) {
            double lost = 0;
            double size = 0;
            for (int i = 64 * head; i < 64 * head + 64; i++) {
              lost += Math.pow(sparse.out().f32(0, i) - dense.out().f32(0, i), 2);
              size += Math.pow(dense.out().f32(0, i), 2);
            }
            error[0] += Math.sqrt(lost / size) / (HEADS * GROUP);
          }
        });
    return error[0];
  }
}
