package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The best basis of centred keys, against a singular value decomposition in double precision. */
class LayerKeysTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260104L);
  private static final int WIDTH = 96;
  private static final int TOKENS = 400;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** T3: what a basis leaves over are the singular values behind its rank; rows are orthonormal. */
  @Test
  void theErrorIsTheEnergyBehindTheRank() {
    float[][] x = keys(1);
    double[] mean = mean(x);
    double[] singular = singularValues(x, mean);
    for (int rank : new int[] {16, 32, 64, 96}) {
      double[][] v = TopEigenvectors.of(gram(x, mean), WIDTH, rank);
      double error = 0;
      double energy = 0;
      for (float[] row : x) {
        double[] rest = new double[WIDTH];
        for (int j = 0; j < WIDTH; j++) rest[j] = row[j] - mean[j];
        double[] centred = rest.clone();
        for (double[] direction : v) {
          double a = dot(centred, direction);
          energy += a * a;
          for (int j = 0; j < WIDTH; j++) rest[j] -= a * direction[j];
        }
        error += dot(rest, rest);
      }
      double all = squares(singular, 0);
      assertThat(error).isCloseTo(squares(singular, rank), within(1e-10 * all));
      assertThat(energy).isCloseTo(all - squares(singular, rank), within(1e-10 * all));
      for (int i = 0; i < rank; i++) {
        for (int k = 0; k < rank; k++) {
          assertThat(dot(v[i], v[k])).isCloseTo(i == k ? 1 : 0, within(1e-10));
        }
        int top = 0;
        for (int j = 0; j < WIDTH; j++) if (Math.abs(v[i][j]) > Math.abs(v[i][top])) top = j;
        assertThat(v[i][top]).as("sign of vector " + i).isPositive();
      }
    }
  }

  @Test
  void numbersThatAreNotFiniteGiveAxes() {
    for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      double[] matrix = new double[32 * 32];
      Arrays.fill(matrix, bad);
      double[][] v = TopEigenvectors.of(matrix, 32, 16);
      for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 32; j++) assertThat(v[i][j]).isEqualTo(i == j ? 1 : 0);
      }
    }
  }

  @Test
  void fewerKeysThanDirectionsStillGiveABasis() {
    float[][] x = Arrays.copyOf(keys(1), 5);
    double[] mean = mean(x);
    double[][] v = TopEigenvectors.of(gram(x, mean), WIDTH, 32);
    for (int i = 0; i < 32; i++) {
      for (int k = 0; k < 32; k++) {
        assertThat(dot(v[i], v[k])).isCloseTo(i == k ? 1 : 0, within(1e-10));
      }
    }
  }

  /** Keys with falling strength over their directions, around a bias. */
  private static float[][] keys(float bias) {
    KeyPages.Source source = new KeyPages.Source(SEED, WIDTH, 48, bias);
    return source.next(TOKENS);
  }

  private static double[] mean(float[][] x) {
    double[] mean = new double[WIDTH];
    for (float[] row : x) for (int j = 0; j < WIDTH; j++) mean[j] += (double) row[j] / x.length;
    return mean;
  }

  private static double[] gram(float[][] x, double[] mean) {
    double[] g = new double[WIDTH * WIDTH];
    for (float[] row : x) {
      for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < WIDTH; j++) {
          g[i * WIDTH + j] += (row[i] - mean[i]) * (row[j] - mean[j]);
        }
      }
    }
    return g;
  }

  /** Falling. */
  static double[] singularValues(float[][] x, double[] mean) {
    DMatrixRMaj m = new DMatrixRMaj(x.length, mean.length);
    for (int t = 0; t < x.length; t++) {
      for (int j = 0; j < mean.length; j++) m.set(t, j, x[t][j] - mean[j]);
    }
    var svd = DecompositionFactory_DDRM.svd(x.length, mean.length, false, false, true);
    assertThat(svd.decompose(m)).isTrue();
    double[] s = Arrays.copyOf(svd.getSingularValues(), svd.numberOfSingularValues());
    Arrays.sort(s);
    for (int i = 0; i < s.length / 2; i++) {
      double swap = s[i];
      s[i] = s[s.length - 1 - i];
      s[s.length - 1 - i] = swap;
    }
    return s;
  }

  static double squares(double[] x, int from) {
    double sum = 0;
    for (int i = from; i < x.length; i++) sum += x[i] * x[i];
    return sum;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }
}
