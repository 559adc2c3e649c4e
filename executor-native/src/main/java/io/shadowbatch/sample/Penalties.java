package io.shadowbatch.sample;

import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.request.SamplingParams;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Changes logits of tokens that were seen before. */
final class Penalties {
  private Penalties() {}

  static void apply(float[] logits, SamplingParams params, Sampler.Past past) {
    if (params.repetitionPenalty() != 1) {
      Set<Integer> seen = new HashSet<>();
      for (int i = 0; i < past.length(); i++) {
        int id = past.tokens()[i];
        if (seen.add(id)) {
          double logit = logits[id];
          double by = params.repetitionPenalty();
          logits[id] = (float) (logit > 0 ? logit / by : logit * by);
        }
      }
    }
    minus(params, past).forEach((id, by) -> logits[id] -= by);
  }

  /** What is subtracted from logits of tokens that were generated. */
  private static Map<Integer, Float> minus(SamplingParams params, Sampler.Past past) {
    if (params.presencePenalty() == 0 && params.frequencyPenalty() == 0) return Map.of();
    Map<Integer, Integer> counts = new HashMap<>();
    for (int i = past.promptLength(); i < past.length(); i++) {
      counts.merge(past.tokens()[i], 1, Integer::sum);
    }
    Map<Integer, Float> minus = new HashMap<>();
    counts.forEach(
        (id, count) ->
            minus.put(id, (float) (params.presencePenalty() + count * params.frequencyPenalty())));
    return minus;
  }

  /** The same changes, and forbidden tokens, as edits for whoever has the logits. */
  static LogitQuery.Edits edits(SamplingParams params, Sampler.Past past, int vocabulary) {
    Map<Integer, Float> minus = new HashMap<>();
    if (params.repetitionPenalty() != 1) {
      for (int i = 0; i < past.length(); i++) minus.put(past.tokens()[i], 0f);
    }
    minus.putAll(minus(params, past));
    for (int id : past.forbidden()) {
      if (id >= 0 && id < vocabulary) minus.put(id, Float.POSITIVE_INFINITY);
    }
    if (minus.isEmpty()) return LogitQuery.Edits.NONE;
    int[] ids = new int[minus.size()];
    float[] by = new float[ids.length];
    int n = 0;
    for (Map.Entry<Integer, Float> e : minus.entrySet()) {
      ids[n] = e.getKey();
      by[n++] = e.getValue();
    }
    return new LogitQuery.Edits(ids, by, params.repetitionPenalty());
  }
}
