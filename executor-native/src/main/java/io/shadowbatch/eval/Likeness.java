package io.shadowbatch.eval;

import java.util.Arrays;

/** How far distributions over the vocabulary lie apart. */
final class Likeness {
  private double[] kls = new double[64];
  private int rows;
  private int sameTop;

  /** Turns logits into natural logarithms of probabilities, in place; sums are in double. */
  static float[] logProbs(float[] logits) {
    float most = logits[top(logits)];
    double sum = 0;
    for (float x : logits) sum += Math.exp(x - (double) most);
    double log = most + Math.log(sum);
    for (int i = 0; i < logits.length; i++) logits[i] = (float) (logits[i] - log);
    return logits;
  }

  /** KL(p || q) in nats of two rows of log-probabilities; rounding never makes it negative. */
  static double kl(float[] p, float[] q) {
    double sum = 0;
    for (int i = 0; i < p.length; i++) sum += Math.exp(p[i]) * ((double) p[i] - q[i]);
    return Math.max(0, sum);
  }

  /** Index of the largest, the lowest on a tie. */
  static int top(float[] row) {
    int best = 0;
    for (int i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
    return best;
  }

  /** Compares a row with the dense one. */
  void add(float[] dense, float[] other) {
    if (rows == kls.length) kls = Arrays.copyOf(kls, 2 * rows);
    kls[rows++] = kl(dense, other);
    if (top(dense) == top(other)) sameTop++;
  }

  int rows() {
    return rows;
  }

  /** Mean of all rows in nats; NaN without rows. */
  double mean() {
    return Arrays.stream(kls, 0, rows).sum() / rows;
  }

  /** The least value that at least this share of the rows does not exceed; NaN without rows. */
  double quantile(double share) {
    if (rows == 0) return Double.NaN;
    double[] sorted = Arrays.copyOf(kls, rows);
    Arrays.sort(sorted);
    return sorted[Math.max(0, (int) Math.ceil(share * rows) - 1)];
  }

  /** Share of rows whose most likely token is the dense run's; NaN without rows. */
  double top1() {
    return (double) sameTop / rows;
  }
}
