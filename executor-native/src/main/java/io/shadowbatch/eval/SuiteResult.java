package io.shadowbatch.eval;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What one policy did on one suite.
 *
 * @param dense of the dense run on the same cases
 */
record SuiteResult(Suite suite, String policy, Tally tally, Tally dense) {
  static final String HEADER =
      "suite    policy                           cases  rows  kl_mean   kl_p99   top1    right"
          + "  kept    f1   f1_loss  kv MB (dev + host)  ratio   mass  host B/row"
          + "  prefill  seal  decode ms  tok/s";

  private static final double F1_LOSS_MOST = 2;

  private boolean compared() {
    return tally != dense;
  }

  private double klMean() {
    return compared() ? tally.likeness.mean() : Double.NaN;
  }

  private double klP99() {
    return compared() ? tally.likeness.quantile(0.99) : Double.NaN;
  }

  private double top1() {
    return compared() ? tally.likeness.top1() : Double.NaN;
  }

  /** Of the answers that the dense run has right, the share that is right here too. */
  private double kept() {
    return tally.denseRight == 0 ? Double.NaN : (double) tally.bothRight / tally.denseRight;
  }

  /** Points of F1 that the dense run has more. */
  private double f1Loss() {
    return 100 * (dense.marks.f1() - tally.marks.f1());
  }

  /** True if a policy loses more of the answers of an extraction than is fit for use. */
  boolean failsGate() {
    return compared() && suite.name().equals("json4k") && f1Loss() > F1_LOSS_MOST + 1e-9;
  }

  /** What is said of a policy that {@link #failsGate}. */
  String gate() {
    return String.format(
        Locale.ROOT,
        "gate failed: %s, %s: %.2f points of F1 lost, at most %.0f are fit for use",
        suite.name(),
        policy,
        f1Loss(),
        F1_LOSS_MOST);
  }

  private double kvRatio() {
    return tally.bytesPerCase() / dense.bytesPerCase();
  }

  private double hostReadPerRow() {
    return (double) tally.traffic.hostBytes() / tally.rows;
  }

  /** Share of exact attention's weight on what rows read, where a store measures it. */
  private double mass() {
    long rows = tally.traffic.massRows();
    return rows == 0 ? Double.NaN : tally.traffic.massCaptured() / rows;
  }

  private static double millis(long nanos) {
    return nanos / 1e6;
  }

  private double rowsPerSecond() {
    return tally.rows / (tally.decodeNanos / 1e9);
  }

  /** A line of the table under {@link #HEADER}. */
  String row() {
    String format =
        "%-8s %-32s %5d %5d %8.5f %8.5f %6.4f %4d/%-4d %5.3f %5.3f %8.2f %8.2f + %-8.2f %6.3f"
            + " %6.3f %11.0f %8.0f %5.0f %10.0f %6.1f";
    return String.format(
            Locale.ROOT,
            format,
            suite.name(),
            policy,
            tally.cases,
            compared() ? tally.likeness.rows() : tally.rows,
            klMean(),
            klP99(),
            top1(),
            tally.marks.right(),
            tally.marks.expected(),
            kept(),
            tally.marks.f1(),
            f1Loss(),
            tally.deviceBytes / 1e6 / tally.cases,
            tally.hostBytes / 1e6 / tally.cases,
            kvRatio(),
            mass(),
            hostReadPerRow(),
            millis(tally.prefillNanos),
            millis(tally.sealNanos),
            millis(tally.decodeNanos),
            rowsPerSecond())
        .replace("NaN", "  -");
  }

  /** One line of JSON. */
  String json() {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("suite", suite.name());
    fields.put("policy", policy);
    fields.put("tokens", suite.tokens());
    fields.put("cases", tally.cases);
    fields.put("scored_rows", tally.likeness.rows());
    fields.put("kl_mean", klMean());
    fields.put("kl_p99", klP99());
    fields.put("top1", top1());
    fields.put("fields", tally.marks.expected());
    fields.put("fields_named", tally.marks.named());
    fields.put("fields_right", tally.marks.right());
    fields.put("f1", tally.marks.f1());
    fields.put("f1_loss_points", f1Loss());
    fields.put("gate_failed", failsGate());
    fields.put("dense_answers_right", tally.denseRight);
    fields.put("dense_answers_kept", kept());
    fields.put("dev_bytes", tally.deviceBytes / tally.cases);
    fields.put("host_bytes", tally.hostBytes / tally.cases);
    fields.put("kv_ratio", kvRatio());
    fields.put("captured_mass", mass());
    fields.put("host_read_bytes_per_row", hostReadPerRow());
    fields.put("prompt_tokens_computed", tally.promptTokens);
    fields.put("rows", tally.rows);
    fields.put("prefill_ms", millis(tally.prefillNanos));
    fields.put("seal_ms", millis(tally.sealNanos));
    fields.put("decode_ms", millis(tally.decodeNanos));
    fields.put("tok_s", rowsPerSecond());
    StringBuilder line = new StringBuilder();
    fields.forEach(
        (name, value) -> line.append(", \"").append(name).append("\": ").append(json(value)));
    return "{" + line.substring(2) + "}";
  }

  private static String json(Object value) {
    if (value instanceof String text) return '"' + text.replace("\"", "\\\"") + '"';
    if (!(value instanceof Double number)) return value.toString();
    if (number.isNaN() || number.isInfinite()) return "null";
    return String.format(Locale.ROOT, "%.6g", number);
  }
}
