package io.shadowbatch.kv;

import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.kernels.ReferenceMath;
import io.shadowbatch.tensor.Tensor;

/**
 * What a basis is found from: the mean of a layer's keys in a segment and their centred Gram
 * matrix, and how well a basis fits them.
 *
 * @param tokens keys that were summed
 * @param mean [width]
 * @param gram [width][width], row after row
 */
record LayerKeys(int tokens, float[] mean, double[] gram) {
  /** An inherited basis stays until its error is that many times the least possible. */
  static final double MOST_ERROR = 1.25;

  /** Share of the keys' energy that float32 sums do not tell from zero. */
  private static final double ROUNDING = 1e-5;

  private int width() {
    return mean.length;
  }

  /** The best basis of a rank: rows of IEEE halves as floats. */
  float[][] fit(int rank) {
    double[][] vectors = TopEigenvectors.of(gram, width(), rank);
    float[][] halves = new float[rank][width()];
    for (int i = 0; i < rank; i++) {
      for (int j = 0; j < width(); j++) {
        halves[i][j] = ReferenceMath.fromHalf(ReferenceMath.toHalf((float) vectors[i][j]));
      }
    }
    return halves;
  }

  /**
   * The best basis, or null if the inherited one is good enough: if ||K - mean - A V||, A the
   * factors, is at most {@link #MOST_ERROR} times what it is with the best one.
   */
  float[][] fitUnless(LowRank inherited) {
    float[][] vectors = new float[inherited.vectors().rows()][width()];
    Tensor v = inherited.vectors();
    for (int i = 0; i < v.rows(); i++) {
      for (int j = 0; j < width(); j++) {
        vectors[i][j] = ReferenceMath.fromHalf(v.storage().bytes().getShort((int) v.at(i, j)));
      }
    }
    float[] before = new float[width()];
    inherited.mean().readRow(0, before);
    float[][] best = fit(vectors.length);
    double trace = 0;
    for (int j = 0; j < width(); j++) trace += gram[j * width() + j];
    double least = Math.max(squaredError(gram, best), ROUNDING * trace);
    double now = squaredError(around(before), vectors);
    return now > MOST_ERROR * MOST_ERROR * least ? best : null;
  }

  /** The Gram matrix around another mean. */
  private double[] around(float[] other) {
    double[] result = gram.clone();
    for (int i = 0; i < width(); i++) {
      double shift = tokens * ((double) mean[i] - other[i]);
      for (int j = 0; j < width(); j++) {
        result[i * width() + j] += shift * ((double) mean[j] - other[j]);
      }
    }
    return result;
  }

  /**
   * ||X - X V^T V||^2 from G = X^T X: trace(G) - 2 trace(V G V^T) + trace(V V^T V G V^T), which
   * holds for rows that are orthonormal only up to rounding.
   */
  private static double squaredError(double[] g, float[][] v) {
    int width = v[0].length;
    double sum = 0;
    for (int j = 0; j < width; j++) sum += g[j * width + j];
    double[] image = new double[width];
    for (int i = 0; i < v.length; i++) {
      java.util.Arrays.fill(image, 0);
      for (int j = 0; j < width; j++) {
        for (int k = 0; k < width; k++) image[k] += v[i][j] * g[j * width + k];
      }
      for (int other = 0; other < v.length; other++) {
        double overlap = 0;
        double energy = 0;
        for (int k = 0; k < width; k++) {
          overlap += (double) v[i][k] * v[other][k];
          energy += image[k] * v[other][k];
        }
        sum += overlap * energy - (i == other ? 2 * energy : 0);
      }
    }
    return sum;
  }
}
