package io.shadowbatch.kernels;

/**
 * The largest logits of a row, the answer to a {@link LogitQuery}.
 *
 * @param ids the tokens with the largest logits, the largest first, of equals the lowest id; at
 *     most {@link #MOST}, and none at all where too many are equal to tell
 * @param logits theirs, changed as the query says
 * @param complete whether these are all logits of the row that are numbers
 * @param mass sum of all weights; the true one lies in {@link #massLow}..{@link #massHigh}
 * @param columns of the row
 */
public record TopLogits(int[] ids, float[] logits, boolean complete, double mass, int columns) {
  /** Most logits of an answer. */
  public static final int MOST = 256;

  /**
   * Each weight is cut to a whole number of 1 / UNIT, so that sums do not depend on their order.
   */
  public static final double UNIT = 0x1p40;

  /** Relative error of the sum of weights by that of a weight (some 1e-7) and of any order. */
  private static final double DOUBT = 0x1p-20;

  public int count() {
    return ids.length;
  }

  public double massLow() {
    return mass * (1 - DOUBT);
  }

  public double massHigh() {
    return (mass + columns / UNIT) * (1 + DOUBT);
  }
}
