package io.shadowbatch.spark;

import io.shadowbatch.engine.CanaryMetrics;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.WastedTokens;
import io.shadowbatch.kv.KvTraffic;
import java.io.Serializable;

/**
 * What an engine has done since it was opened, or between two such times. An engine serves several
 * tasks: what one of them took is not told apart.
 *
 * @param seconds computed
 * @param kvBytesPeak most bytes of keys and values that it has ever held
 * @param traffic what it read of prompts that are read in part
 * @param canary how far that was from reading all
 * @param wasted tokens computed for nothing
 */
record EngineClock(
    double seconds, long kvBytesPeak, KvTraffic traffic, CanaryMetrics canary, WastedTokens wasted)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  static final EngineClock ZERO =
      new EngineClock(0, 0, KvTraffic.NONE, CanaryMetrics.NONE, WastedTokens.NONE);

  static EngineClock of(EngineMetrics m) {
    return new EngineClock(
        m.computeSeconds() + m.sampleSeconds(),
        m.kvBytesPeak(),
        m.traffic(),
        m.canary(),
        m.wasted());
  }

  /** From {@code before} to this time of the same engine. */
  EngineClock since(EngineClock before) {
    return new EngineClock(
        seconds - before.seconds,
        kvBytesPeak,
        traffic.since(before.traffic),
        canary.since(before.canary),
        wasted.since(before.wasted));
  }

  /** Of both engines. */
  EngineClock plus(EngineClock other) {
    return new EngineClock(
        seconds + other.seconds,
        Math.max(kvBytesPeak, other.kvBytesPeak),
        traffic.plus(other.traffic),
        canary.plus(other.canary),
        wasted.plus(other.wasted));
  }
}
