package io.shadowbatch.spark;

import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.engine.StepCosts.Work;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.spark.PlanFacts.Fact;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What computing some rows on one engine is predicted to take.
 *
 * @param rows in
 * @param promptTokens of all prompts
 * @param computedTokens of these, those that no other row has computed before
 * @param newTokens expected answers, copies left out
 * @param seconds of the engine
 * @param kvBytesPeak most bytes of keys and values held, prefixes that are kept included
 */
record Forecast(
    long rows,
    long promptTokens,
    long computedTokens,
    long newTokens,
    double seconds,
    long kvBytesPeak) {

  /** Steps that an engine computes on its own measure, where the user names none. */
  private static final int USUAL_BATCH_TOKENS = 256;

  /**
   * An engine's limits.
   *
   * @param batchTokens most of a step; 0 if the engine measures them
   * @param kvBytes memory for keys and values
   */
  record Limits(int batchTokens, long kvBytes, long kvBytesPerToken) {
    static Limits of(JobPlan plan) {
      return of(plan.engine(), plan.model());
    }

    static Limits of(JobConfig.EngineChoice engine, ModelCard model) {
      return new Limits(engine.batchTokens(), engine.kv().deviceBytes(), model.kvBytesPerToken());
    }

    /** Tokens that the memory holds. */
    long kvTokens() {
      return kvBytes / kvBytesPerToken;
    }

    int stepTokens() {
      return batchTokens > 0 ? batchTokens : USUAL_BATCH_TOKENS;
    }
  }

  /** Of a partition. */
  static Forecast of(PlanFacts facts, StepCosts costs, Limits limits) {
    long computed = facts.of(Fact.COMPUTED_TOKENS);
    long answers = facts.of(Fact.NEW_TOKENS);
    long completions = Math.max(1, facts.of(Fact.COMPLETIONS));
    // A sequence holds its own part of the prompt and half of its answer, and half a page besides.
    double part = keptPart(facts);
    double own = (computed + answers / 2.0) / completions + KvLayout.TILE / 2.0;
    own *= part;
    double together = Math.min(limits.stepTokens(), limits.kvTokens() / own);
    together = Math.max(1, Math.min(together, completions));
    double tokens = computed + answers;
    double steps = Math.max(tokens / limits.stepTokens(), answers / together);
    steps = Math.max(steps, facts.of(Fact.LONGEST_ANSWER));
    double inputs = Math.max(0, tokens - completions); // a last token is never an input
    Work work =
        new Work(steps, inputs, answers, facts.of(Fact.BATCHED_PAIRS), facts.of(Fact.LONE_PAIRS));
    double kept = part * (computed + together * answers / completions);
    double saved = facts.of(Fact.KV_SAVED_NANOS) / 1e9;
    long kvBytes = (long) Math.min(limits.kvBytes(), kept * limits.kvBytesPerToken());
    return new Forecast(
        facts.of(Fact.ROWS),
        facts.of(Fact.PROMPT_TOKENS),
        computed,
        answers,
        Math.max(0, costs.seconds(work) - saved),
        kvBytes);
  }

  /** Of the bytes that prompts and answers would take on the device, those that they do take. */
  private static double keptPart(PlanFacts facts) {
    long whole = facts.of(Fact.KV_DENSE_BYTES);
    return whole == 0 ? 1 : facts.of(Fact.KV_CHOSEN_BYTES) / (double) whole;
  }

  /** Both, one after the other. */
  Forecast then(Forecast next) {
    return new Forecast(
        rows + next.rows,
        promptTokens + next.promptTokens,
        computedTokens + next.computedTokens,
        newTokens + next.newTokens,
        seconds + next.seconds,
        Math.max(kvBytesPeak, next.kvBytesPeak));
  }

  /** As plain values. */
  Map<String, Object> described() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("rows", rows);
    map.put("prompt_tokens", promptTokens);
    map.put("computed_prompt_tokens", computedTokens);
    map.put("completion_tokens", newTokens);
    map.put("engine_seconds", Math.round(1000 * seconds) / 1000.0);
    map.put("kv_bytes_peak", kvBytesPeak);
    return map;
  }
}
