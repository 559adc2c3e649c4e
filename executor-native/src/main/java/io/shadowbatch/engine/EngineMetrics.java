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
 * @param wasted tokens that were computed for nothing
 */
public record EngineMetrics(
    SchedulerMetrics scheduler,
    KvTraffic traffic,
    CanaryMetrics canary,
    double computeSeconds,
    double sampleSeconds,
    long kvBytesPeak,
    WastedTokens wasted) {

  /** Of an engine that has done nothing. */
  public static final EngineMetrics NONE =
      new EngineMetrics(
          SchedulerMetrics.NONE, KvTraffic.NONE, CanaryMetrics.NONE, 0, 0, 0, WastedTokens.NONE);

  /** Tokens that went through the forward pass. */
  public long computedTokens() {
    return scheduler.prefillTokens() + scheduler.decodeTokens();
  }

  /** What both engines have done, one after the other. */
  public EngineMetrics plus(EngineMetrics other) {
    return new EngineMetrics(
        scheduler.plus(other.scheduler),
        traffic.plus(other.traffic),
        canary.plus(other.canary),
        computeSeconds + other.computeSeconds,
        sampleSeconds + other.sampleSeconds,
        Math.max(kvBytesPeak, other.kvBytesPeak),
        wasted.plus(other.wasted));
  }

  /** The same with more tokens wasted. */
  public EngineMetrics wasting(WastedTokens more) {
    return new EngineMetrics(
        scheduler, traffic, canary, computeSeconds, sampleSeconds, kvBytesPeak, wasted.plus(more));
  }
}
