package io.shadowbatch.kernels;

/**
 * A question about a row of logits: which are the largest, and what do all of them weigh? A logit's
 * weight is exp((logit - largest) * scale), nothing if it is more than {@code depth} below the
 * largest.
 *
 * @param row of the tensor
 * @param edits changes before the question, of which the tensor keeps none
 */
public record LogitQuery(int row, float scale, double depth, Edits edits) {

  /**
   * Changes of tokens' logits: {@code logit > 0 ? logit / factor : logit * factor}, computed in
   * double, then as a float less the token's {@code minus}, where infinity makes it -infinity.
   *
   * @param ids no token twice
   * @param minus one for each id
   */
  public record Edits(int[] ids, float[] minus, double factor) {
    public static final Edits NONE = new Edits(new int[0], new float[0], 1);
  }
}
