package io.shadowbatch.spark;

import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.request.KvMode;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What a run wrote, as its tasks counted the rows for the files.
 *
 * @param errors rows by error code
 * @param finishes rows by finish reason
 * @param kvModes rows by the way in which their prompts were read
 * @param cachedTokens prompt tokens that were not computed for their row
 * @param copied rows whose answer was copied from an equal request
 * @param seconds of the whole job, from reading the input to the committed files
 * @param forecast what was predicted, beside what came
 */
public record RunSummary(
    String runId,
    String output,
    long rows,
    Map<String, Long> errors,
    Map<String, Long> finishes,
    Map<String, Long> kvModes,
    long promptTokens,
    long cachedTokens,
    long completionTokens,
    Copied copied,
    double seconds,
    RunForecast forecast) {

  /** Rows with their completion tokens. */
  public record Copied(long rows, long tokens) {}

  /** What the tasks counted; {@code begin} is the nano time at which the job began. */
  static RunSummary of(
      TaskCounters counters, Forecast.Limits limits, String runId, String output, long begin) {
    double seconds = (System.nanoTime() - begin) / 1e9;
    return new RunSummary(
        runId,
        output,
        counters.rows().sum(),
        counters.errorRows(),
        counters.finishedRows(),
        counters.kvModeRows(),
        counters.promptTokens().sum(),
        counters.cachedTokens().sum(),
        counters.newTokens().sum() + counters.copiedTokens().sum(),
        new Copied(counters.copiedRows().sum(), counters.copiedTokens().sum()),
        seconds,
        new RunForecast(counters.partitions().value(), limits));
  }

  /** Rows without a completion. */
  public long errorRows() {
    return errors.values().stream().mapToLong(Long::longValue).sum();
  }

  /** Share of rows without a completion. */
  public double errorRate() {
    return rows == 0 ? 0 : (double) errorRows() / rows;
  }

  /** The same as plain values. */
  public Map<String, Object> described() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("run_id", runId);
    map.put("output", output);
    map.put("rows", rows);
    map.put("rows_ok", rows - errorRows());
    map.put("rows_error", errorRows());
    map.put("errors", errors);
    map.put("finish_reasons", finishes);
    map.put("prompt_tokens", promptTokens);
    map.put("cached_tokens", cachedTokens);
    map.put("computed_prompt_tokens", promptTokens - cachedTokens);
    map.put("completion_tokens", completionTokens);
    map.put("copied_rows", copied.rows);
    map.put("copied_completion_tokens", copied.tokens);
    map.putAll(read());
    map.put("seconds", Math.round(seconds * 1000) / 1000.0);
    map.put("completion_tokens_per_second", rate(completionTokens - copied.tokens));
    map.put("total_tokens_per_second", rate(promptTokens + completionTokens));
    return map;
  }

  /** How prompts were read, as plain values. */
  Map<String, Object> read() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("kv_modes", kvModes);
    map.putAll(forecast.readInPart());
    return map;
  }

  private double rate(long tokens) {
    return seconds <= 0 ? 0 : Math.round(10 * tokens / seconds) / 10.0;
  }

  /** The same for people. */
  public String text() {
    double reused = promptTokens == 0 ? 0 : 100.0 * cachedTokens / promptTokens;
    StringBuilder out = new StringBuilder();
    line(out, "rows", "%,d (%,d ok, %,d errors)", rows, rows - errorRows(), errorRows());
    if (copied.rows > 0) line(out, "  copied", "%,d of equal requests", copied.rows);
    errors.forEach((code, n) -> line(out, "  " + code, "%,d", n));
    finishes.forEach((reason, n) -> line(out, "  finished: " + reason, "%,d", n));
    line(out, "prompt tokens", "%,d", promptTokens);
    line(out, "  reused", "%,d (%.1f %%)", cachedTokens, reused);
    long planned = forecast.computedTokens()[0];
    line(out, "  computed", "%,d (%,d predicted)", promptTokens - cachedTokens, planned);
    long generated = completionTokens - copied.tokens;
    line(out, "new tokens", "%,d (%.1f a second)", generated, rate(generated));
    if (copied.tokens > 0) line(out, "  copied", "%,d besides", copied.tokens);
    if (!forecast.readInPart().isEmpty()) {
      EngineClock engines = forecast.engines();
      KvTraffic t = engines.traffic();
      double share = 100.0 * t.tokensRead() / Math.max(1, t.tokensHeld());
      long shadow = kvModes.getOrDefault(TaskCounters.name(KvMode.SHADOW), 0L);
      line(out, "shadow", "%,d rows, %.1f %% of their prompts read a step", shadow, share);
      line(out, "  canary", "%s", KvReport.canaryText(engines.canary(), forecast.fellBack()));
    }
    double[] engine = forecast.engineSeconds();
    line(out, "wall time", "%.1f s", seconds);
    line(out, "  engine", "%.1f s (%.1f predicted)", engine[1], engine[0]);
    line(out, "output", "%s", output);
    return out.toString();
  }

  private static void line(StringBuilder out, String name, String format, Object... values) {
    out.append(
        String.format(
            Locale.ROOT, "  %-20s %s%n", name, String.format(Locale.ROOT, format, values)));
  }
}
