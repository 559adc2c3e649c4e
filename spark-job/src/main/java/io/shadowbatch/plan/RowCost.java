package io.shadowbatch.plan;

import java.io.Serializable;

/**
 * What rows cost to compute, as far as that is known before anything is tokenized. Whole numbers of
 * {@value #UNITS} to a prompt token, so that sums are the same in any order.
 *
 * @param bytesPerToken estimate, for there is no tokenizer here
 * @param outputToken cost of a generated token; that of a prompt token is 1
 * @param outputTokensMax expected length of an answer that may be longer
 * @param repeated cost of the answers of a row that repeats the row before, as a share of what they
 *     cost first: 0 if they are copied, 1 if they are computed
 */
public record RowCost(
    double bytesPerToken, double outputToken, int outputTokensMax, double repeated)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Cost of one prompt token. */
  public static final int UNITS = 100;

  /** Generating costs 1.6 to 2.0 prompt tokens on the two machines of the README's numbers. */
  public static final RowCost USUAL = new RowCost(4, 1.8, 128, 0);

  public RowCost {
    if (!(bytesPerToken > 0) || !(outputToken >= 0) || outputTokensMax < 0 || !(repeated >= 0)) {
      throw new IllegalArgumentException(
          "bytes a token must be above 0, the others not below, got %s, %s, %d, %s"
              .formatted(bytesPerToken, outputToken, outputTokensMax, repeated));
    }
  }

  public RowCost withRepeated(double share) {
    return new RowCost(bytesPerToken, outputToken, outputTokensMax, share);
  }

  /** Of reading so many bytes of a prompt. */
  public long ofPrompt(long bytes) {
    return Math.round(UNITS * bytes / bytesPerToken);
  }

  /** Of all answers of a row. */
  public long ofAnswers(PlanRow row) {
    int tokens = Math.min(row.outputTokens(), outputTokensMax);
    return Math.round(UNITS * outputToken * tokens * row.samples());
  }

  /** Of the answers of a row that repeats another. */
  public long ofRepeat(PlanRow row) {
    return Math.round(repeated * ofAnswers(row));
  }

  /**
   * Of a row whose common beginning with the row before is there already.
   *
   * @param before in order; null for none
   */
  public long of(PlanRow row, PlanRow before) {
    if (row.repeats(before)) return ofRepeat(row);
    return ofPrompt(row.bytes() - row.sharedBytes(before)) + ofAnswers(row);
  }
}
