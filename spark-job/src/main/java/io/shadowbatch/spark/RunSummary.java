package io.shadowbatch.spark;

import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.request.KvMode;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a run wrote, as its tasks counted the rows of their chunks.
 *
 * @param counts of output rows
 * @param seconds of the whole job, from reading the input to the last chunk
 * @param forecast what was predicted, beside what came
 * @param before what earlier runs had written to the output
 * @param wasted tokens that were computed and not committed, by cause, as far as known
 * @param stop why the run ended before its rows did; null if it did not
 */
public record RunSummary(
    String runId,
    String output,
    Tally counts,
    double seconds,
    RunForecast forecast,
    Before before,
    Map<String, Long> wasted,
    RunWatch.Stop stop) {

  /** Output rows of earlier runs, and how many of them are errors. */
  public record Before(long rows, long errors) {
    static final Before NOTHING = new Before(0, 0);
  }

  /** What the tasks counted; {@code begin} is the nano time at which the job began. */
  static RunSummary of(
      TaskCounters counters, Forecast.Limits limits, String runId, String output, long begin) {
    double seconds = (System.nanoTime() - begin) / 1e9;
    RunForecast forecast = new RunForecast(counters.partitions().value(), limits);
    return new RunSummary(
        runId, output, counters.sum(), seconds, forecast, Before.NOTHING, Map.of(), null);
  }

  /** The same, with what the counters do not know. */
  RunSummary with(Before earlier, Map<String, Long> lost, RunWatch.Stop why) {
    Map<String, Long> all = new TreeMap<>(lost);
    forecast.engines().wasted().described().forEach((cause, n) -> all.merge(cause, n, Long::sum));
    return new RunSummary(runId, output, counts, seconds, forecast, earlier, all, why);
  }

  /** Output rows, errors included. */
  public long rows() {
    return counts.get(Tally.ROWS);
  }

  /** Error rows by code. */
  public Map<String, Long> errors() {
    return counts.under(Tally.ERROR);
  }

  /** Of all prompts, reused ones included. */
  public long promptTokens() {
    return counts.get(Tally.PROMPT_TOKENS);
  }

  /** Prompt tokens that were not computed for their row. */
  public long cachedTokens() {
    return counts.get(Tally.CACHED_TOKENS);
  }

  /** Tokens of all answers, copied ones included. */
  public long completionTokens() {
    return newTokens() + copiedTokens();
  }

  /** Rows by the way in which their prompts were read. */
  public Map<String, Long> kvModes() {
    return counts.under(Tally.KV_MODE);
  }

  /** Rows by finish reason. */
  public Map<String, Long> finishes() {
    return counts.under(Tally.FINISH);
  }

  /** Tokens that were computed. */
  long newTokens() {
    return counts.get(Tally.NEW_TOKENS);
  }

  /** Tokens that were copied from equal requests. */
  long copiedTokens() {
    return counts.get(Tally.COPIED_TOKENS);
  }

  /** Rows without a completion. */
  public long errorRows() {
    return errors().values().stream().mapToLong(Long::longValue).sum();
  }

  /** Share of rows without a completion, of all that the output holds. */
  public double errorRate() {
    long all = rows() + before.rows;
    return all == 0 ? 0 : (double) (errorRows() + before.errors) / all;
  }

  /** Why the run ended before its rows did; null if it did not. */
  public String stopReason() {
    return stop == null ? null : stop.reason();
  }

  /** How the process of a run ends that was stopped. */
  public JobException.Exit stopExit() {
    return stop.exit();
  }

  /** The same as plain values. */
  public Map<String, Object> described() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("run_id", runId);
    map.put("output", output);
    map.put("rows", rows());
    map.put("rows_ok", rows() - errorRows());
    map.put("rows_error", errorRows());
    map.put("errors", errors());
    map.put("finish_reasons", counts.under(Tally.FINISH));
    map.put("prompt_tokens", promptTokens());
    map.put("cached_tokens", cachedTokens());
    map.put("computed_prompt_tokens", promptTokens() - cachedTokens());
    map.put("completion_tokens", newTokens() + copiedTokens());
    map.put("rows_before", before.rows);
    map.put("rows_error_before", before.errors);
    map.put("wasted_tokens", wasted);
    if (stop != null) map.put("stopped", stop.reason());
    map.put("copied_rows", counts.get(Tally.COPIED_ROWS));
    map.put("copied_completion_tokens", copiedTokens());
    map.putAll(read());
    map.put("seconds", Math.round(seconds * 1000) / 1000.0);
    map.put("completion_tokens_per_second", rate(newTokens()));
    map.put("total_tokens_per_second", rate(promptTokens() + newTokens() + copiedTokens()));
    return map;
  }

  /** How prompts were read, as plain values. */
  Map<String, Object> read() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("kv_modes", counts.under(Tally.KV_MODE));
    map.putAll(forecast.readInPart());
    return map;
  }

  private double rate(long tokens) {
    return seconds <= 0 ? 0 : Math.round(10 * tokens / seconds) / 10.0;
  }

  /** The same for people. */
  public String text() {
    double reused = promptTokens() == 0 ? 0 : 100.0 * cachedTokens() / promptTokens();
    StringBuilder out = new StringBuilder();
    line(out, "rows", "%,d (%,d ok, %,d errors)", rows(), rows() - errorRows(), errorRows());
    if (before.rows > 0) line(out, "  before", "%,d of earlier runs", before.rows);
    long copiedRows = counts.get(Tally.COPIED_ROWS);
    if (copiedRows > 0) line(out, "  copied", "%,d of equal requests", copiedRows);
    errors().forEach((code, n) -> line(out, "  " + code, "%,d", n));
    counts.under(Tally.FINISH).forEach((reason, n) -> line(out, "  finished: " + reason, "%,d", n));
    line(out, "prompt tokens", "%,d", promptTokens());
    line(out, "  reused", "%,d (%.1f %%)", cachedTokens(), reused);
    long planned = forecast.computedTokens()[0];
    line(out, "  computed", "%,d (%,d predicted)", promptTokens() - cachedTokens(), planned);
    long generated = newTokens();
    line(out, "new tokens", "%,d (%.1f a second)", generated, rate(generated));
    if (copiedTokens() > 0) line(out, "  copied", "%,d besides", copiedTokens());
    if (!forecast.readInPart().isEmpty()) {
      EngineClock engines = forecast.engines();
      KvTraffic t = engines.traffic();
      double share = 100.0 * t.tokensRead() / Math.max(1, t.tokensHeld());
      long shadow = counts.get(Tally.KV_MODE + Tally.name(KvMode.SHADOW));
      line(out, "shadow", "%,d rows, %.1f %% of their prompts read a step", shadow, share);
      line(out, "  canary", "%s", KvReport.canaryText(engines.canary(), forecast.fellBack()));
    }
    wasted.forEach((cause, n) -> line(out, "wasted tokens", "%,d (%s)", n, cause));
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
