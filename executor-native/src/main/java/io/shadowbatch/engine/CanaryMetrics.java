package io.shadowbatch.engine;

import java.io.Serializable;

/**
 * How far shadow answers were from what the same engine computes with all keys and values.
 *
 * @param rows compared
 * @param positions tokens compared
 * @param klMean mean divergence KL(dense || shadow) of the next token's probabilities, in nats
 * @param agreement share of positions at which both find the same token most likely
 */
public record CanaryMetrics(long rows, long positions, double klMean, double agreement)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Nothing was compared. */
  public static final CanaryMetrics NONE = new CanaryMetrics(0, 0, 0, 0);

  /** Mean divergence above which later requests are read exactly. */
  public static final double KL_MOST = 0.03;

  /** Agreement below which they are. */
  public static final double AGREEMENT_LEAST = 0.85;

  /** Positions below which a mean says nothing. */
  public static final long POSITIONS_LEAST = 64;

  /** True if what was compared is too far apart to go on. */
  public boolean exceeded() {
    boolean near = klMean <= KL_MOST && agreement >= AGREEMENT_LEAST; // not if a mean is NaN
    return positions >= POSITIONS_LEAST && !near;
  }

  /** What both have compared. */
  public CanaryMetrics plus(CanaryMetrics other) {
    return joined(other, 1);
  }

  /** What was compared since {@code before}, of the same engine. */
  public CanaryMetrics since(CanaryMetrics before) {
    return joined(before, -1);
  }

  private CanaryMetrics joined(CanaryMetrics other, int times) {
    long all = positions + times * other.positions;
    if (all <= 0) return new CanaryMetrics(Math.max(0, rows + times * other.rows), 0, 0, 0);
    double kl = klMean * positions + times * other.klMean * other.positions;
    double agreed = agreement * positions + times * other.agreement * other.positions;
    return new CanaryMetrics(
        rows + times * other.rows, all, Math.max(0, kl / all), Math.min(1, agreed / all));
  }
}
