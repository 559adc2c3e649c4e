package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.row_number;

import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.expressions.WindowSpec;
import org.apache.spark.util.LongAccumulator;

/**
 * Writes a finished output as OpenAI batch files: {@code output/part-*.jsonl} with the answers and
 * {@code errors/part-*.jsonl} with the requests that failed. One Spark job writes them beside their
 * place; renames put them there when all are complete, in place of an older export. The Parquet
 * table stays the truth.
 */
public final class OpenAiExport {

  private static final String FOLDER = "_openai";
  private static final String RECORD = "export.json";
  private static final String LINE = PromptTable.PREFIX + "line";

  private final SparkSession spark;
  private final Path output;
  private final Path target;
  private final Path staging;
  private final FileSystem files;

  /**
   * What was written.
   *
   * @param completed requests with an answer
   * @param failed requests without
   */
  public record Written(String output, String folder, long completed, long failed) {

    /** The same as plain values. */
    public Map<String, Object> described() {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("output", output);
      map.put("folder", folder);
      map.put("total", completed + failed);
      map.put("completed", completed);
      map.put("failed", failed);
      return map;
    }
  }

  private OpenAiExport(SparkSession spark, Path output, Path target) throws IOException {
    this.spark = spark;
    this.files = target.getFileSystem(spark.sparkContext().hadoopConfiguration());
    this.output =
        output.getFileSystem(spark.sparkContext().hadoopConfiguration()).makeQualified(output);
    this.target = files.makeQualified(target);
    if (this.target.getParent() == null) throw new IOException("the root of a file system");
    // Hidden, so that readers of a table beside it do not see half of it.
    this.staging = new Path(this.target.getParent(), "_" + target.getName() + ".staging");
  }

  /**
   * Exports an output.
   *
   * @param output folder of a finished run
   * @param to folder to write, absent or of an older export; null for {@code _openai} in the output
   * @throws JobException with INPUT if there is no finished output, USAGE or OUTPUT if the folder
   *     cannot be taken
   */
  public static Written of(SparkSession spark, String output, String to) {
    try {
      Path from = new Path(output);
      return new OpenAiExport(spark, from, to == null ? new Path(from, FOLDER) : new Path(to))
          .run();
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      JobException own = Failures.cause(e, JobException.class);
      if (own != null) throw own;
      throw new JobException(
          Exit.OUTPUT,
          "export of --output %s: %s; the table is as it was, `shadowbatch export` tries again"
              .formatted(output, Failures.firstLine(e)),
          e);
    }
  }

  /** Exports what a run has finished, if the user wants more than the table. */
  static void after(SparkSession spark, Settings settings, PrintStream log) {
    if (!OpenAiTable.FORMAT.equals(settings.text(JobOptions.OUTPUT_FORMAT))) return;
    Written written = of(spark, settings.text(JobOptions.OUTPUT), null);
    log.printf(
        "[shadowbatch] %s: %,d answers, %,d errors as OpenAI batch lines%n",
        written.folder(), written.completed(), written.failed());
  }

  private Written run() throws IOException {
    requireFinished();
    requireFree();
    files.delete(staging, true);
    LongAccumulator completed = spark.sparkContext().longAccumulator("answers");
    LongAccumulator failed = spark.sparkContext().longAccumulator("failed requests");
    spark.sparkContext().setJobDescription("ShadowBatch export " + output);
    try {
      requests()
          .mapPartitions(new OpenAiLines(completed, failed), Encoders.row(OpenAiLines.SCHEMA))
          .write()
          .partitionBy("kind")
          .text(staging.toString());
    } finally {
      spark.sparkContext().setJobDescription(null);
    }
    Written written =
        new Written(output.toString(), target.toString(), completed.sum(), failed.sum());
    settle(written);
    return written;
  }

  private void requireFinished() throws IOException {
    FileSystem from = output.getFileSystem(spark.sparkContext().hadoopConfiguration());
    if (from.exists(new Path(output, "_SUCCESS"))) return;
    throw new JobException(
        Exit.INPUT,
        "--output %s: expected the output of a finished run, found no _SUCCESS; run the job to its"
                .formatted(output)
            + " end first");
  }

  /** Only an older export is replaced, and the table's readers must not meet the lines. */
  private void requireFree() throws IOException {
    String below = output.toUri().relativize(target.toUri()).getPath();
    boolean inside = !below.startsWith("/");
    if (inside && !below.startsWith("_") && !below.startsWith(".")) {
      throw new JobException(
          Exit.USAGE,
          "--to %s: lies in the output, whose readers would take it for data; expected a name that"
                  .formatted(target)
              + " begins with _, or another place");
    }
    if (!files.exists(target) || files.exists(new Path(target, RECORD))) return;
    throw new JobException(
        Exit.OUTPUT,
        "--to %s exists and is no older export (it has no %s); choose another, or delete it"
            .formatted(target, RECORD));
  }

  /**
   * The rows of each request one after the other. Requests of the same id and key are told apart by
   * a number, as they have equally many samples.
   */
  private Dataset<Row> requests() {
    Dataset<Row> table = OpenAiLines.columns(spark.read().parquet(output.toString()));
    Row most = table.agg(max(col("sample_index"))).first();
    boolean single = most.isNullAt(0) || most.getInt(0) == 0;
    if (single) return table;
    WindowSpec equal =
        Window.partitionBy(col("request_id"), col("request_key"), col("sample_index"))
            .orderBy(col("usage.cached_tokens"), col("completion"));
    return table
        .repartition(col("request_id"), col("request_key"))
        .withColumn(LINE, row_number().over(equal))
        .sortWithinPartitions(
            col("request_id"), col("request_key"), col(LINE), col("sample_index"));
  }

  /** Names the files, then puts them in their place. */
  private void settle(Written written) throws IOException {
    for (String kind : new String[] {OpenAiLines.OUTPUT, OpenAiLines.ERRORS}) {
      Path folder = new Path(staging, kind);
      Path partition = new Path(staging, "kind=" + kind);
      if (files.exists(partition)) rename(partition, folder);
      files.mkdirs(folder);
      for (FileStatus file : files.listStatus(folder)) {
        String name = file.getPath().getName();
        rename(file.getPath(), new Path(folder, name.replaceFirst("\\.txt$", ".jsonl")));
      }
    }
    files.delete(new Path(staging, "_SUCCESS"), false);
    try (OutputStream out = files.create(new Path(staging, RECORD), true)) {
      out.write((Session.json(written.described()) + "\n").getBytes(StandardCharsets.UTF_8));
    }
    Path aside = new Path(target.getParent(), "_" + target.getName() + ".old");
    files.delete(aside, true);
    if (files.exists(target)) rename(target, aside);
    rename(staging, target);
    files.delete(aside, true);
  }

  private void rename(Path from, Path to) throws IOException {
    if (!files.rename(from, to)) throw new IOException("cannot rename " + from + " to " + to);
  }
}
