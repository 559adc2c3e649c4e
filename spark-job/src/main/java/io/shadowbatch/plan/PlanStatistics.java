package io.shadowbatch.plan;

/**
 * What a plan saves, known before anything runs. Statistics of partitions add up; each partition
 * counts the pinned root once, so that engines that keep it do better by what they keep.
 *
 * @param prompts all of them
 * @param duplicates prompts equal to an earlier one of their group; they compute nothing
 * @param groups groups of at least two members that share a prefix
 * @param grouped prompts in those groups
 * @param degreeMax members of the largest group
 * @param promptBytes of all prompts: what a job without reuse computes
 * @param plannedBytes what the plan computes with one level of prefixes
 * @param optimumBytes what reuse at every level would compute: of each prompt what it does not
 *     share with the one before, at the same block boundaries
 * @param outputTokens expected completions
 * @param forcedCuts times that a full window was cut inside a shared prefix
 */
public record PlanStatistics(
    long prompts,
    long duplicates,
    long groups,
    long grouped,
    long degreeMax,
    long promptBytes,
    long plannedBytes,
    long optimumBytes,
    long outputTokens,
    long forcedCuts) {

  /** Of no prompts. */
  public static final PlanStatistics NONE = new PlanStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

  public PlanStatistics plus(PlanStatistics other) {
    return new PlanStatistics(
        prompts + other.prompts,
        duplicates + other.duplicates,
        groups + other.groups,
        grouped + other.grouped,
        Math.max(degreeMax, other.degreeMax),
        promptBytes + other.promptBytes,
        plannedBytes + other.plannedBytes,
        optimumBytes + other.optimumBytes,
        outputTokens + other.outputTokens,
        forcedCuts + other.forcedCuts);
  }

  /** Estimated tokens of all prompts. */
  public long promptTokens(double bytesPerToken) {
    return Math.round(promptBytes / bytesPerToken);
  }

  /** Estimated tokens that the plan computes. */
  public long plannedTokens(double bytesPerToken) {
    return Math.round(plannedBytes / bytesPerToken);
  }

  /** Estimated tokens that the plan does not compute. */
  public long savedTokens(double bytesPerToken) {
    return promptTokens(bytesPerToken) - plannedTokens(bytesPerToken);
  }

  /** Estimated tokens that reuse at every level would compute. */
  public long optimumTokens(double bytesPerToken) {
    return Math.round(optimumBytes / bytesPerToken);
  }

  /** Share of the prompts' bytes that the plan does not compute, 0 to 1. */
  public double savedShare() {
    return promptBytes == 0 ? 0 : 1 - (double) plannedBytes / promptBytes;
  }

  /** Share of the prompts' bytes that reuse at every level would not compute, 0 to 1. */
  public double optimumShare() {
    return promptBytes == 0 ? 0 : 1 - (double) optimumBytes / promptBytes;
  }
}
