package io.shadowbatch.schedule;

import io.shadowbatch.schedule.StepPlan.Bound;

/** What a scheduler has done; written by its thread only. */
final class SchedulerCounts {
  private final long[] stepsByBound = new long[Bound.values().length];
  private long promptTokens;
  private long reusedTokens;
  private long prefillTokens;
  private long recomputedTokens;
  private long decodeTokens;
  private long preemptions;

  void step(Bound bound) {
    stepsByBound[bound.ordinal()]++;
  }

  void admitted(Sequence s) {
    if (s.preemptions() == 0) promptTokens += s.promptLength();
    // After a preemption others may have come further than the sequence itself had.
    int known = Math.min(s.promptLength(), s.computedMost());
    reusedTokens += Math.max(0, Math.min(s.promptLength(), s.computed()) - known);
  }

  /** The next {@code tokens} of a sequence are computed; it does not know yet. */
  void computed(Sequence s, int tokens) {
    int to = s.computed() + tokens;
    int again = Math.max(0, Math.min(to, s.computedMost()) - s.computed());
    int prompt = Math.max(0, Math.min(to, s.promptLength()) - s.computed() - again);
    recomputedTokens += again;
    prefillTokens += again + prompt;
    decodeTokens += tokens - again - prompt;
  }

  void preempted() {
    preemptions++;
  }

  long preemptions() {
    return preemptions;
  }

  SchedulerMetrics metrics(long evictedPages) {
    long steps = 0;
    for (long n : stepsByBound) steps += n;
    return new SchedulerMetrics(
        steps,
        stepsByBound[Bound.MEMORY.ordinal()],
        promptTokens,
        reusedTokens,
        prefillTokens,
        recomputedTokens,
        decodeTokens,
        preemptions,
        evictedPages);
  }
}
