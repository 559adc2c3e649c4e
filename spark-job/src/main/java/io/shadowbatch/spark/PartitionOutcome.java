package io.shadowbatch.spark;

import io.shadowbatch.engine.StepCosts;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What one partition's rows were predicted to take and took. The engine serves other tasks besides,
 * so its seconds are given as a clock, before and after.
 *
 * @param executor that computed it
 * @param facts counted from the rows before they were computed
 * @param costs of the executor's engine
 * @param promptTokens of all prompts
 * @param computedTokens of these, those that the engine computed
 * @param newTokens of answers that were computed
 * @param taskSeconds wall time from the first row to the last answer
 * @param engineBefore seconds that the engine had computed when the task began
 * @param engineAfter and when it ended
 * @param kvBytesPeak most bytes of keys and values that the engine has held
 */
record PartitionOutcome(
    int partition,
    String executor,
    PlanFacts facts,
    StepCosts costs,
    long promptTokens,
    long computedTokens,
    long newTokens,
    double taskSeconds,
    double engineBefore,
    double engineAfter,
    long kvBytesPeak)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Predicted beside actual, as plain values. */
  Map<String, Object> described(Forecast.Limits limits) {
    Map<String, Object> actual = new LinkedHashMap<>();
    actual.put("prompt_tokens", promptTokens);
    actual.put("computed_prompt_tokens", computedTokens);
    actual.put("completion_tokens", newTokens);
    actual.put("task_seconds", Math.round(1000 * taskSeconds) / 1000.0);
    actual.put("engine_kv_bytes_peak", kvBytesPeak);
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("partition", partition);
    map.put("executor", executor);
    map.put("predicted", Forecast.of(facts, costs, limits).described());
    map.put("actual", actual);
    return map;
  }
}
