package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.KvChoice.Asked;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.spark.PlanFacts.Fact;
import java.io.Serializable;

/**
 * Decides how rows' prompts are read, and counts what that is predicted to be worth.
 *
 * @param choice null where all are read exactly
 */
record KvRule(KvOptions.Mode mode, KvChoice choice) implements Serializable {

  private static final long serialVersionUID = 1L;

  /** All prompts are read exactly. */
  static final KvRule DENSE = new KvRule(KvOptions.Mode.DENSE, null);

  /** Gains are counted in these parts. */
  static final double GAIN_PARTS = 1000;

  private static final double NANOS = 1e9;

  /** How a request's prompt is read. */
  KvMode of(Asked asked) {
    return switch (mode) {
      case DENSE -> KvMode.DENSE;
      case SHADOW -> choice.spec().leavesOut(asked.promptTokens()) ? KvMode.SHADOW : KvMode.DENSE;
      case AUTO -> choice.choose(asked);
    };
  }

  /** Counts so many completions of a request, if there is anything to choose. */
  void count(PlanFacts facts, Asked asked, int completions) {
    if (mode == KvOptions.Mode.DENSE) return;
    KvMode chosen = of(asked);
    double each = (double) completions * asked.newTokens() * NANOS;
    facts.add(Fact.KV_COMPLETIONS, completions);
    facts.add(Fact.KV_DENSE_BYTES, bytes(asked, KvMode.DENSE, completions));
    facts.add(Fact.KV_SHADOW_BYTES, bytes(asked, KvMode.SHADOW, completions));
    facts.add(Fact.KV_CHOSEN_BYTES, bytes(asked, chosen, completions));
    facts.add(Fact.KV_DENSE_NANOS, Math.round(each * choice.tokenSeconds(asked, KvMode.DENSE)));
    facts.add(Fact.KV_SHADOW_NANOS, Math.round(each * choice.tokenSeconds(asked, KvMode.SHADOW)));
    facts.add(Fact.KV_CHOSEN_NANOS, Math.round(each * choice.tokenSeconds(asked, chosen)));
    double saved =
        choice.attentionSeconds(asked, KvMode.DENSE) - choice.attentionSeconds(asked, chosen);
    facts.add(Fact.KV_SAVED_NANOS, Math.round(each * saved));
    facts.add(Fact.KV_GAIN_MOST, Math.round(GAIN_PARTS * choice.gain(asked)));
  }

  private long bytes(Asked asked, KvMode how, int completions) {
    return Math.round(completions * choice.bytes(asked, how));
  }
}
