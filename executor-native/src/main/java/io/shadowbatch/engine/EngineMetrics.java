package io.shadowbatch.engine;

import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.schedule.SchedulerMetrics;

/**
 * What an engine has done since it was opened.
 *
 * @param scheduler counters of steps and tokens
 * @param traffic what was read in part
 * @param canary how far that was from reading all
 * @param computeSeconds wall time in the forward pass
 * @param sampleSeconds wall time in logits and the choice of tokens
 * @param kvBytesPeak most bytes of keys and values held on the device
 */
public record EngineMetrics(
    SchedulerMetrics scheduler,
    KvTraffic traffic,
    CanaryMetrics canary,
    double computeSeconds,
    double sampleSeconds,
    long kvBytesPeak) {}
