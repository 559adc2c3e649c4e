package io.shadowbatch.plan;

/**
 * What the planner may do, and what it believes things cost.
 *
 * @param bytesPerToken estimate, for there is no tokenizer here
 * @param overheadTokens what a group costs beyond its prefix, in tokens computed
 * @param degreeMin distinct prompts below a prefix that make it worth a group; at least 2
 * @param prefixTokensMin shortest prefix of a group, the root not counted
 * @param windowRows most prompts held undecided; at least 2
 * @param windowBytes most prompt bytes held undecided; one prompt may be longer
 */
public record PlanRules(
    double bytesPerToken,
    long overheadTokens,
    int degreeMin,
    long prefixTokensMin,
    int windowRows,
    long windowBytes,
    PinnedRoot root) {

  public PlanRules {
    if (!(bytesPerToken > 0) || overheadTokens < 0 || prefixTokensMin < 0) {
      throw new IllegalArgumentException(
          "bytes a token must be above 0, overhead and shortest prefix not below, got %s, %d, %d"
              .formatted(bytesPerToken, overheadTokens, prefixTokensMin));
    }
    if (degreeMin < 2 || windowRows < 2 || windowBytes < 1) {
      throw new IllegalArgumentException(
          "degree and window rows must be at least 2, window bytes 1, got %d, %d, %d"
              .formatted(degreeMin, windowRows, windowBytes));
    }
  }

  /** The usual rules: overhead 32 tokens, degree 2, prefix 32 tokens, window 8192 or 64 MiB. */
  public static PlanRules of(double bytesPerToken) {
    return new PlanRules(bytesPerToken, 32, 2, 32, 8192, 64L << 20, PinnedRoot.NONE);
  }

  public PlanRules below(PinnedRoot pinned) {
    return new PlanRules(
        bytesPerToken, overheadTokens, degreeMin, prefixTokensMin, windowRows, windowBytes, pinned);
  }

  public PlanRules withGroups(long overhead, int degree, long prefixMin) {
    return new PlanRules(bytesPerToken, overhead, degree, prefixMin, windowRows, windowBytes, root);
  }

  public PlanRules withWindow(int rows, long bytes) {
    return new PlanRules(
        bytesPerToken, overheadTokens, degreeMin, prefixTokensMin, rows, bytes, root);
  }

  /** Bytes to compute for a prefix of so many blocks, the root not counted; by blocks. */
  long[] prefixCosts() {
    long[] costs = new long[PrefixSignature.BLOCKS_MAX + 1];
    for (int d = 1; d < costs.length; d++) costs[d] = root.below(root.prefixBytes(d));
    return costs;
  }

  long overheadBytes() {
    return Math.round(overheadTokens * bytesPerToken);
  }

  long prefixBytesMin() {
    return Math.round(prefixTokensMin * bytesPerToken);
  }
}
