package io.shadowbatch.spark;

import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.KvMode;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What one partition's rows were predicted to take and took. The engine serves other tasks besides,
 * so its work is given as a clock, before and after.
 *
 * @param executor that computed it
 * @param facts counted from the rows before they were computed
 * @param costs of the executor's engine
 * @param promptTokens of all prompts
 * @param computedTokens of these, those that the engine computed
 * @param newTokens of answers that were computed
 * @param kvModes answers that left, by the way in which their prompts were read
 * @param taskSeconds wall time from the first row to the last answer
 * @param before what the engine had done when the task began
 * @param after and when it ended
 */
record PartitionOutcome(
    int partition,
    String executor,
    PlanFacts facts,
    StepCosts costs,
    long promptTokens,
    long computedTokens,
    long newTokens,
    Map<KvMode, Long> kvModes,
    double taskSeconds,
    EngineClock before,
    EngineClock after)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Whether what was read in part was too far from the exact, so that the rest is read exactly. */
  boolean fellBack() {
    return after.canary().exceeded();
  }

  /** Predicted beside actual, as plain values. */
  Map<String, Object> described(Forecast.Limits limits) {
    Map<String, Object> actual = new LinkedHashMap<>();
    actual.put("prompt_tokens", promptTokens);
    actual.put("computed_prompt_tokens", computedTokens);
    actual.put("completion_tokens", newTokens);
    actual.put("task_seconds", Math.round(1000 * taskSeconds) / 1000.0);
    actual.put("engine_kv_bytes_peak", after.kvBytesPeak());
    Map<String, Long> modes = new LinkedHashMap<>();
    kvModes.forEach((mode, rows) -> modes.put(Tally.name(mode), rows));
    actual.put("kv_modes", modes);
    actual.putAll(KvReport.described("engine_", after.since(before), fellBack()));
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("partition", partition);
    map.put("executor", executor);
    map.put("predicted", Forecast.of(facts, costs, limits).described());
    map.put("actual", actual);
    return map;
  }
}
