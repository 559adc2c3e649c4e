package io.shadowbatch.bench;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The runs of one workload under one baseline, and the numbers that they make.
 *
 * @param runs one for each round
 * @param batchTokens most tokens of a step
 * @param noneSeconds median wall time of {@link SharingMode#NONE}; NaN if it was not run
 */
record WorkloadResult(
    Workload workload,
    TokenTrie trie,
    SharingMode baseline,
    List<WorkloadRun> runs,
    int batchTokens,
    double noneSeconds) {

  static final String HEADER =
      "workload baseline     prompts  logical computed     R R_trie  capt. planned   diff  preempt"
          + "  KV MB  occup.   wall s (min..max)      prompts/s  out/s  ratio expected";

  WorkloadResult {
    runs = runs.stream().sorted(Comparator.comparingDouble(WorkloadRun::seconds)).toList();
  }

  /** The run with the median wall time, of whose counts the others may differ by a step's luck. */
  WorkloadRun median() {
    return runs.get(runs.size() / 2);
  }

  /** Share of the prompt tokens that was not computed; negative if some were computed twice. */
  double saved() {
    return 1 - (double) median().prefillTokens() / workload.promptTokens();
  }

  /** The most that any order and cache could save. */
  double savedMost() {
    return 1 - (double) trie.nodes() / workload.promptTokens();
  }

  /** Computed more than the sorted order plans, in tokens. */
  long overPlan() {
    return median().prefillTokens() - trie.planned();
  }

  /** Mean share of a step's tokens in use. */
  double occupancy() {
    WorkloadRun run = median();
    double tokens = run.prefillTokens() + run.decodeTokens();
    return tokens / Math.max(1, run.steps()) / batchTokens;
  }

  double ratio() {
    return noneSeconds / median().seconds();
  }

  double expected() {
    return Expected.ratio(workload.id(), baseline);
  }

  private double capture() {
    return savedMost() == 0 ? Double.NaN : saved() / savedMost();
  }

  /** A line of the table under {@link #HEADER}. */
  String row() {
    WorkloadRun run = median();
    return String.format(
            Locale.ROOT,
            "%-8s %-12s %7d %8d %8d %5.3f %6.3f %6.3f %7d %6d %8d %6.1f %7.2f %8.3f (%.3f..%.3f)"
                + " %10.2f %6.1f %6.2f %8.2f",
            workload.id(),
            baseline,
            workload.prompts().size(),
            workload.promptTokens(),
            run.prefillTokens(),
            saved(),
            savedMost(),
            capture(),
            trie.planned(),
            overPlan(),
            run.preemptions(),
            run.kvBytesPeak() / 1e6,
            occupancy(),
            run.seconds(),
            runs.get(0).seconds(),
            runs.get(runs.size() - 1).seconds(),
            workload.prompts().size() / run.seconds(),
            workload.outputTokens() / run.seconds(),
            ratio(),
            expected())
        .replace("NaN", "  -");
  }

  /** One line of JSON. */
  String json() {
    WorkloadRun run = median();
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("workload", workload.id());
    fields.put("baseline", baseline.name());
    fields.put("prompts", workload.prompts().size());
    fields.put("kv_tokens_cap", workload.kvTokens());
    fields.put("batch_tokens", batchTokens);
    fields.put("logical_prefill_tokens", workload.promptTokens());
    fields.put("computed_prefill_tokens", run.prefillTokens());
    fields.put("decode_tokens", run.decodeTokens());
    fields.put("trie_tokens", trie.nodes());
    fields.put("planned_tokens", trie.planned());
    fields.put("planned_page_tokens", trie.plannedPages());
    fields.put("computed_less_planned", overPlan());
    fields.put("r", saved());
    fields.put("r_trie", savedMost());
    fields.put("capture", capture());
    fields.put("rounds", runs.size());
    fields.put("wall_s", run.seconds());
    fields.put("wall_min_s", runs.get(0).seconds());
    fields.put("wall_max_s", runs.get(runs.size() - 1).seconds());
    fields.put("prompts_per_s", workload.prompts().size() / run.seconds());
    fields.put("output_tokens_per_s", workload.outputTokens() / run.seconds());
    fields.put("steps", run.steps());
    fields.put("occupancy", occupancy());
    fields.put("kv_bytes_peak", run.kvBytesPeak());
    fields.put("preemptions", run.preemptions());
    fields.put("ratio_to_none", ratio());
    fields.put("expected_ratio", expected());
    StringBuilder line = new StringBuilder();
    fields.forEach(
        (name, value) -> line.append(", \"").append(name).append("\": ").append(json(value)));
    return "{" + line.substring(2) + "}";
  }

  private static String json(Object value) {
    if (value instanceof String text) return '"' + text + '"';
    if (!(value instanceof Double number)) return value.toString();
    return number.isNaN() ? "null" : String.format(Locale.ROOT, "%.4f", number);
  }
}
