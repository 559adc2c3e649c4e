package io.shadowbatch.schedule;

/**
 * Counters of a scheduler since its start. Prompt tokens less reused ones plus recomputed ones are
 * the prefill tokens once all sequences are done.
 *
 * @param steps planned
 * @param stepsBoundByMemory of these, those that took no more sequences for want of memory
 * @param promptTokens of admitted sequences, counted once each
 * @param reusedTokens prompt tokens taken over from others
 * @param prefillTokens tokens of prompts computed, and recomputed ones
 * @param recomputedTokens tokens that a sequence had computed before it lost its memory
 * @param decodeTokens generated tokens computed for the first time
 * @param preemptions sequences that lost their memory
 * @param evictedPages pages of prefixes given up for others
 */
public record SchedulerMetrics(
    long steps,
    long stepsBoundByMemory,
    long promptTokens,
    long reusedTokens,
    long prefillTokens,
    long recomputedTokens,
    long decodeTokens,
    long preemptions,
    long evictedPages) {

  /** Of a scheduler that has done nothing. */
  public static final SchedulerMetrics NONE = new SchedulerMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0);

  /** What both have done. */
  public SchedulerMetrics plus(SchedulerMetrics other) {
    return new SchedulerMetrics(
        steps + other.steps,
        stepsBoundByMemory + other.stepsBoundByMemory,
        promptTokens + other.promptTokens,
        reusedTokens + other.reusedTokens,
        prefillTokens + other.prefillTokens,
        recomputedTokens + other.recomputedTokens,
        decodeTokens + other.decodeTokens,
        preemptions + other.preemptions,
        evictedPages + other.evictedPages);
  }
}
