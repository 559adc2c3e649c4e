package io.shadowbatch.engine;

import io.shadowbatch.schedule.SchedulerMetrics;

/**
 * What an engine has done since it was opened.
 *
 * @param scheduler counters of steps and tokens
 * @param computeSeconds wall time in the forward pass
 * @param sampleSeconds wall time in logits and the choice of tokens
 * @param kvBytesPeak most bytes of keys and values held
 */
public record EngineMetrics(
    SchedulerMetrics scheduler, double computeSeconds, double sampleSeconds, long kvBytesPeak) {}
