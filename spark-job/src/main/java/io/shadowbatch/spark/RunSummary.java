package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * What a run wrote, counted from the rows that it wrote.
 *
 * @param errors rows by error code
 * @param finishes rows by finish reason
 * @param cachedTokens prompt tokens that were not computed for their row
 * @param seconds of the whole job, from reading the input to reading what it wrote
 */
public record RunSummary(
    String runId,
    String output,
    long rows,
    Map<String, Long> errors,
    Map<String, Long> finishes,
    long promptTokens,
    long cachedTokens,
    long completionTokens,
    double seconds) {

  private static final StructType GROUP =
      new StructType()
          .add("code", DataTypes.StringType, false)
          .add("finish", DataTypes.StringType, false)
          .add("rows", DataTypes.LongType, false)
          .add("prompt_tokens", DataTypes.LongType, false)
          .add("cached_tokens", DataTypes.LongType, false)
          .add("completion_tokens", DataTypes.LongType, false);

  /** Reads the output once; {@code begin} is the nano time at which the job began. */
  static RunSummary of(SparkSession spark, String runId, String output, long begin) {
    MapPartitionsFunction<Row, Row> task = RunSummary::grouped;
    List<Row> groups =
        spark
            .read()
            .schema(CompletionTable.schema(List.of()))
            .parquet(output)
            .select(
                coalesce(col("error.code"), lit("")),
                coalesce(col("finish_reason"), lit("")),
                col("usage.prompt_tokens"),
                col("usage.cached_tokens"),
                col("usage.completion_tokens"))
            .mapPartitions(task, Encoders.row(GROUP))
            .collectAsList();
    long[] totals = new long[4];
    Map<String, Long> errors = new TreeMap<>();
    Map<String, Long> finishes = new TreeMap<>();
    for (Row group : groups) {
      long rows = group.getLong(2);
      for (int i = 0; i < totals.length; i++) totals[i] += group.getLong(2 + i);
      if (!group.getString(0).isEmpty()) errors.merge(group.getString(0), rows, Long::sum);
      if (!group.getString(1).isEmpty()) finishes.merge(group.getString(1), rows, Long::sum);
    }
    double seconds = (System.nanoTime() - begin) / 1e9;
    return new RunSummary(
        runId, output, totals[0], errors, finishes, totals[1], totals[2], totals[3], seconds);
  }

  /** Sums of one partition, for each error code and finish reason. */
  private static Iterator<Row> grouped(Iterator<Row> rows) {
    Map<List<String>, long[]> groups = new HashMap<>();
    while (rows.hasNext()) {
      Row row = rows.next();
      List<String> key = List.of(row.getString(0), row.getString(1));
      long[] sums = groups.computeIfAbsent(key, k -> new long[4]);
      sums[0]++;
      for (int i = 1; i < sums.length; i++) sums[i] += row.getLong(1 + i);
    }
    return groups.entrySet().stream().map(e -> row(e.getKey(), e.getValue())).iterator();
  }

  private static Row row(List<String> key, long[] sums) {
    return RowFactory.create(key.get(0), key.get(1), sums[0], sums[1], sums[2], sums[3]);
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
    map.put("seconds", Math.round(seconds * 1000) / 1000.0);
    map.put("completion_tokens_per_second", rate(completionTokens));
    map.put("total_tokens_per_second", rate(promptTokens + completionTokens));
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
    errors.forEach((code, n) -> line(out, "  " + code, "%,d", n));
    finishes.forEach((reason, n) -> line(out, "  finished: " + reason, "%,d", n));
    line(out, "prompt tokens", "%,d", promptTokens);
    line(out, "  reused", "%,d (%.1f %%)", cachedTokens, reused);
    line(out, "  computed", "%,d", promptTokens - cachedTokens);
    line(out, "new tokens", "%,d (%.1f a second)", completionTokens, rate(completionTokens));
    line(out, "wall time", "%.1f s", seconds);
    line(out, "output", "%s", output);
    return out.toString();
  }

  private static void line(StringBuilder out, String name, String format, Object... values) {
    out.append(
        String.format(
            Locale.ROOT, "  %-20s %s%n", name, String.format(Locale.ROOT, format, values)));
  }
}
