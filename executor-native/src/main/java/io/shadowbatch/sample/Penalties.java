package io.shadowbatch.sample;

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
    if (params.presencePenalty() == 0 && params.frequencyPenalty() == 0) return;
    Map<Integer, Integer> counts = new HashMap<>();
    for (int i = past.promptLength(); i < past.length(); i++) {
      counts.merge(past.tokens()[i], 1, Integer::sum);
    }
    counts.forEach(
        (id, count) ->
            logits[id] -= (float) (params.presencePenalty() + count * params.frequencyPenalty()));
  }
}
