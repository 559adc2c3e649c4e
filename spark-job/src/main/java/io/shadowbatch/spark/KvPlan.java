package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.ReadCosts;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.spark.PlanFacts.Fact;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** How a run would read prompts, what each way is predicted to take, and why. */
final class KvPlan {

  private static final String DENSE = Tally.name(KvMode.DENSE);
  private static final String SHADOW = Tally.name(KvMode.SHADOW);

  private KvPlan() {}

  /**
   * As plain values; nothing if all prompts were to be read exactly.
   *
   * @param choice null where they are
   */
  static Map<String, Object> described(
      JobConfig config, JobPlan plan, KvChoice choice, PlanFacts facts) {
    KvOptions.Mode mode = plan.engine().kv().mode();
    Map<String, Object> map = new LinkedHashMap<>();
    if (config.engine().kv().mode() == KvOptions.Mode.DENSE) return map;
    map.put("kv_mode", mode.shown());
    if (mode == KvOptions.Mode.DENSE) {
      map.put("kv_mode_why", "layers see a window of %d tokens".formatted(plan.model().window()));
      return map;
    }
    long shadow = facts.of(Fact.SHADOW_ROWS);
    long groups = facts.of(Fact.SHADOW_GROUPS);
    map.put("kv_mode_completions", both(facts.of(Fact.COMPLETIONS) - shadow, shadow));
    map.put("kv_mode_groups", both(facts.of(Fact.GROUPS) - groups, groups));
    double requests = Math.max(1, facts.of(Fact.KV_COMPLETIONS));
    double dense = facts.of(Fact.KV_DENSE_BYTES) / requests;
    double sparse = facts.of(Fact.KV_SHADOW_BYTES) / requests;
    map.put("device_bytes_of_a_request", both(Math.round(dense), Math.round(sparse)));
    map.put("requests_in_device_memory", both(held(choice, dense), held(choice, sparse)));
    Map<String, Object> seconds = new LinkedHashMap<>();
    seconds.put(DENSE, seconds(facts, Fact.KV_DENSE_NANOS));
    seconds.put(SHADOW, seconds(facts, Fact.KV_SHADOW_NANOS));
    seconds.put("chosen", seconds(facts, Fact.KV_CHOSEN_NANOS));
    map.put("predicted_decode_seconds", seconds);
    map.put("read_costs", described(choice.reads()));
    map.put("kv_mode_why", why(mode, facts));
    return map;
  }

  private static Map<String, Object> both(long dense, long shadow) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put(DENSE, dense);
    map.put(SHADOW, shadow);
    return map;
  }

  private static long held(KvChoice choice, double bytes) {
    return (long) (choice.deviceBytes() / Math.max(1, bytes));
  }

  private static double seconds(PlanFacts facts, Fact nanos) {
    return Math.round(facts.of(nanos) / 1e6) / 1e3;
  }

  private static String why(KvOptions.Mode mode, PlanFacts facts) {
    double most = facts.of(Fact.KV_GAIN_MOST) / KvRule.GAIN_PARTS;
    long all = facts.of(Fact.COMPLETIONS);
    long shadow = facts.of(Fact.SHADOW_ROWS);
    String gain =
        shadow == 0 && most <= 1
            ? "no prompt is so long that reading a part of it is predicted to be faster"
            : String.format(
                Locale.ROOT, "a token takes up to %.2f times as long if all is read", most);
    String least =
        mode == KvOptions.Mode.SHADOW
            ? "shadow was asked for"
            : String.format(Locale.ROOT, "auto asks for %.2f", KvChoice.GAIN_LEAST);
    return String.format(Locale.ROOT, "%s, %s: %,d of %,d in part", gain, least, shadow, all);
  }

  private static Map<String, Object> described(ReadCosts costs) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("token", costs.token());
    map.put("shared_token", costs.sharedToken());
    map.put("landmark", costs.landmark());
    map.put("shared_landmark", costs.sharedLandmark());
    map.put("picked_token", costs.picked());
    map.put("shared_picked_token", costs.sharedPicked());
    return map;
  }
}
