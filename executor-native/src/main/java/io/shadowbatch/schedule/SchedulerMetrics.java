package io.shadowbatch.schedule;

/**
 * Counters of a scheduler since its start.
 *
 * @param steps planned
 * @param promptTokens of admitted sequences, counted once each
 * @param reusedTokens prompt tokens taken over from others at first admission
 * @param prefillTokens tokens computed that were not the latest generated one
 * @param decodeTokens latest generated tokens computed
 * @param preemptions sequences that lost their memory
 */
public record SchedulerMetrics(
    long steps,
    long promptTokens,
    long reusedTokens,
    long prefillTokens,
    long decodeTokens,
    long preemptions) {}
