package io.shadowbatch.spark;

import io.shadowbatch.engine.StepCosts;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToLongFunction;

/**
 * What a run was predicted to take, from its rows before they were computed and the measured costs
 * of steps, beside what it took.
 */
public final class RunForecast {
  private final List<PartitionOutcome> partitions;
  private final Forecast.Limits limits;
  private final Forecast predicted;

  RunForecast(List<PartitionOutcome> outcomes, Forecast.Limits limits) {
    this.partitions = new ArrayList<>(outcomes);
    this.partitions.sort(Comparator.comparingInt(PartitionOutcome::partition));
    this.limits = limits;
    Forecast all = new Forecast(0, 0, 0, 0, 0, 0);
    for (PartitionOutcome p : partitions) all = all.then(Forecast.of(p.facts(), p.costs(), limits));
    this.predicted = all;
  }

  /** Prompt tokens that were to be computed, and how many were. */
  long[] computedTokens() {
    long actual = partitions.stream().mapToLong(PartitionOutcome::computedTokens).sum();
    return new long[] {predicted.computedTokens(), actual};
  }

  /** Seconds that engines were to compute, and how many they did, all engines together. */
  double[] engineSeconds() {
    return new double[] {predicted.seconds(), engines().seconds()};
  }

  /** What all engines did, each from the begin of its first task to the end of its last. */
  EngineClock engines() {
    Map<String, PartitionOutcome> first = new TreeMap<>();
    Map<String, PartitionOutcome> last = new TreeMap<>();
    for (PartitionOutcome p : partitions) {
      first.merge(p.executor(), p, (a, b) -> b.before().seconds() < a.before().seconds() ? b : a);
      last.merge(p.executor(), p, (a, b) -> b.after().seconds() > a.after().seconds() ? b : a);
    }
    EngineClock all = EngineClock.ZERO;
    for (PartitionOutcome p : last.values()) {
      all = all.plus(p.after().since(first.get(p.executor()).before()));
    }
    return all;
  }

  /** Whether an engine found that reading in part was too far from the exact. */
  boolean fellBack() {
    return partitions.stream().anyMatch(PartitionOutcome::fellBack);
  }

  /** What was read in part, and how far that was from the exact; empty if nothing was. */
  Map<String, Object> readInPart() {
    return KvReport.described("", engines(), fellBack());
  }

  /** Everything, as plain values. */
  Map<String, Object> described() {
    Map<String, Object> actual = new LinkedHashMap<>();
    actual.put("prompt_tokens", sum(PartitionOutcome::promptTokens));
    actual.put("computed_prompt_tokens", sum(PartitionOutcome::computedTokens));
    actual.put("completion_tokens", sum(PartitionOutcome::newTokens));
    actual.put("engine_seconds", Math.round(1000 * engineSeconds()[1]) / 1000.0);
    actual.put("kv_bytes_peak", engines().kvBytesPeak());
    actual.putAll(readInPart());
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("predicted", predicted.described());
    map.put("actual", actual);
    if (!partitions.isEmpty()) map.put("step_costs", described(partitions.get(0).costs()));
    map.put("partitions", partitions.stream().map(p -> p.described(limits)).toList());
    return map;
  }

  private long sum(ToLongFunction<PartitionOutcome> value) {
    return partitions.stream().mapToLong(value).sum();
  }

  /** Costs as plain values, in seconds. */
  static Map<String, Object> described(StepCosts costs) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("step", costs.base());
    map.put("token", costs.token());
    map.put("logits_row", costs.logit());
    map.put("batched_pair", costs.batchedPair());
    map.put("lone_pair", costs.lonePair());
    return map;
  }
}
