package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.collect_list;
import static org.apache.spark.sql.functions.first;
import static org.apache.spark.sql.functions.not;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.struct;

import io.shadowbatch.ledger.OutputFiles;
import io.shadowbatch.spark.InferenceRows.Finished;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.OutputRows.Asked;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.io.IOException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.ForeachPartitionFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Answers of other outputs for rows that ask for the same: same prompt, parameters, model and
 * numbers. They are copied, in chunks like others; what they do not answer is computed.
 *
 * @param copied rows with the answers found
 * @param rest rows without, kept on executors' disks until {@link #close}
 * @param left how many these are
 */
record Reuse(Dataset<Row> joined, Dataset<Row> copied, Dataset<Row> rest, long left)
    implements AutoCloseable {
  private static final String KEY = PreparedRows.REQUEST_KEY;
  private static final String ANSWERS = PromptTable.PREFIX + "answers";
  private static final String[] ANSWER = {
    "sample_index",
    "completion",
    "finish_reason",
    "stop_reason",
    "usage",
    "logprobs",
    "token_ids",
    "meta"
  };

  /** What other outputs, of which there is at least one, have for the rows of a plan. */
  static Reuse of(SparkSession spark, JobPlan plan, List<String> outputs) {
    Dataset<Row> answers = null;
    for (String output : outputs) {
      Dataset<Row> more =
          spark
              .read()
              .schema(CompletionTable.schema(List.of()))
              .parquet(output)
              .where(col("status").equalTo("ok"));
      answers = answers == null ? more : answers.union(more);
    }
    Column answer = struct(Arrays.stream(ANSWER).map(n -> col(n)).toArray(Column[]::new));
    Dataset<Row> byKey =
        answers
            .groupBy(col("request_key").as(KEY), col("sample_index"))
            .agg(first(answer).as("answer"))
            .groupBy(KEY)
            .agg(collect_list("answer").as(ANSWERS));
    Dataset<Row> joined =
        plan.prepared()
            .join(byKey, CollectionConverters.asScala(List.of(KEY)).toSeq(), "left_outer")
            .persist(StorageLevel.DISK_ONLY());
    Column whole = size(col(ANSWERS)).equalTo(col(PreparedRows.SAMPLES));
    Column answered = whole.and(col(PreparedRows.ERROR_CODE).isNull());
    Column[] columns =
        Arrays.stream(plan.prepared().columns()).map(joined::col).toArray(Column[]::new);
    Column[] more = Arrays.copyOf(columns, columns.length + 1);
    more[columns.length] = joined.col(ANSWERS);
    Dataset<Row> rest = joined.where(col(ANSWERS).isNull().or(not(answered)));
    Dataset<Row> restRows = rest.select(columns);
    return new Reuse(joined, joined.where(answered).select(more), restRows, restRows.count());
  }

  /** Refuses outputs whose answers would not be this job's. */
  static void check(SparkSession spark, List<String> outputs, Map<String, Object> identity) {
    Map<String, Object> needed = new LinkedHashMap<>(identity);
    for (String own : List.of("columns", "schema_version", "sampling options")) needed.remove(own);
    needed.remove(OutputIdentity.TEMPLATE_DATE); // what it changes, it changes in prompts
    for (String output : outputs) {
      Map<String, Object> theirs;
      try {
        Path path = new Path(output);
        OutputFiles files = OutputFiles.of(spark.sparkContext().hadoopConfiguration(), path);
        theirs = RunFolder.described(files, path);
      } catch (IOException | IllegalArgumentException e) {
        throw new JobException(
            Exit.INPUT, "--reuse %s: %s".formatted(output, Failures.firstLine(e)), e);
      }
      if (theirs.isEmpty()) {
        throw new JobException(
            Exit.INPUT, "--reuse %s: no output of a job of this version".formatted(output));
      }
      OutputIdentity.check("--reuse " + output, theirs, needed);
    }
  }

  @Override
  public void close() {
    joined.unpersist();
  }

  /** Writes the rows with answers of one partition. */
  record Copy(InferenceTask.Settings settings, Commits commits, TaskCounters counters)
      implements ForeachPartitionFunction<Row> {

    private static final long serialVersionUID = 1L;

    @Override
    public void call(Iterator<Row> rows) {
      ChunkWriter chunks = ChunkWriter.open(commits, TaskContext.getPartitionId(), counters);
      long number = 0;
      while (rows.hasNext()) {
        Row row = rows.next();
        Prepared prepared = PreparedRows.read(row, settings.kept());
        Asked asked =
            Asked.of(
                number++, new PlannedRows.Planned(row, prepared, RowGroup.ALONE), settings.kept());
        if (chunks.isDone(asked.input().key())) continue;
        List<Row> answers = row.getList(row.size() - 1);
        for (Row answer : answers) {
          Tally tally = tally(answer);
          counters.add(tally);
          chunks.add(new Finished(asked, output(asked, answer), tally));
        }
      }
      chunks.commit();
    }

    private static Tally tally(Row answer) {
      Row usage = answer.getAs("usage");
      Tally one = Tally.none();
      Map<String, Long> counts = one.counts();
      counts.put(Tally.ROWS, 1L);
      counts.put(Tally.COPIED_ROWS, 1L);
      counts.put(Tally.PROMPT_TOKENS, usage.getLong(0));
      counts.put(Tally.CACHED_TOKENS, usage.getLong(0));
      counts.put(Tally.COPIED_TOKENS, usage.getLong(1));
      counts.put(Tally.FINISH + answer.getAs("finish_reason"), 1L);
      counts.put(Tally.KV_MODE + answer.<Row>getAs("meta").getAs("kv_mode"), 1L);
      counts.values().removeIf(n -> n == 0);
      return one;
    }

    private Row output(Asked asked, Row answer) {
      int kept = settings.kept();
      Row usage = answer.getAs("usage");
      long prompt = usage.getLong(0);
      Object[] values = new Object[kept + 14];
      values[0] = asked.prepared().id();
      values[1] = asked.prepared().key();
      values[2] = answer.getAs("sample_index");
      System.arraycopy(asked.row(), 0, values, 3, kept);
      int at = 3 + kept;
      values[at] = "ok";
      values[at + 1] = answer.getAs("completion");
      values[at + 3] = answer.getAs("finish_reason");
      values[at + 4] = answer.getAs("stop_reason");
      values[at + 5] =
          RowFactory.create(prompt, usage.getLong(1), usage.getLong(2), prompt, usage.getLong(4));
      values[at + 7] = RowFactory.create(0.0, 0.0, 0.0, 0.0);
      values[at + 8] = answer.getAs("logprobs");
      values[at + 9] = answer.getAs("token_ids");
      values[at + 10] = meta(asked, answer.getAs("meta"));
      return RowFactory.create(values);
    }

    /** As it was, but written by this run for this row. */
    private Row meta(Asked asked, Row theirs) {
      Object[] values = new Object[theirs.size()];
      for (int i = 0; i < values.length; i++) values[i] = theirs.get(i);
      values[theirs.fieldIndex("run_id")] = settings.runId();
      values[theirs.fieldIndex("model")] = settings.model().name();
      values[theirs.fieldIndex("prefix_group")] = null;
      values[theirs.fieldIndex("task_attempt")] = TaskContext.get().attemptNumber();
      values[theirs.fieldIndex("copied")] = true;
      values[theirs.fieldIndex("row_key")] = asked.input().key();
      return RowFactory.create(values);
    }
  }
}
