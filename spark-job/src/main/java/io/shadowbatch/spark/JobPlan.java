package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.PromptReader.Source;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * What a run will do, with everything settled that Spark and the model's header can tell. No prompt
 * is rendered before {@link #prepared} is acted on.
 *
 * @param rows of the input
 */
record JobPlan(
    ModelCard model,
    PromptTable table,
    PrepareTask prepare,
    Dataset<Row> prepared,
    EngineChoice engine,
    long rows,
    int slots,
    int partitions) {

  static JobPlan open(SparkSession spark, JobConfig config) {
    SparkContext context = spark.sparkContext();
    int slots = Math.max(1, context.defaultParallelism());
    EngineChoice engine = settle(config.engine(), context);
    ModelCard model = ModelReader.card(config.model(), engine);
    return open(spark, config, model, engine, slots);
  }

  static JobPlan open(
      SparkSession spark, JobConfig config, ModelCard model, EngineChoice engine, int slots) {
    if (config.input().path() == null && config.input().options().isEmpty()) {
      throw new JobException(
          Exit.USAGE, "--input is missing (or spark.shadowbatch.input.input): path of the prompts");
    }
    PromptTable table = PromptTable.open(spark, config);
    if (table.reader().source() == Source.MESSAGES && model.chatTemplate() == null) {
      throw new JobException(
          Exit.MODEL,
          "--model %s: has no chat template, which messages need; use --prompt-col with raw prompts"
              .formatted(model.location()));
    }
    PrepareTask prepare = new PrepareTask(table.reader(), config.rows(), model);
    Dataset<Row> prepared =
        table.rows().mapPartitions(prepare, Encoders.row(PreparedRows.schema(table.kept())));
    long rows = count(spark, table, config);
    int engines = Math.max(1, slots / executorCores(spark.sparkContext()));
    int partitions =
        config.partitions() > 0
            ? config.partitions()
            : PrefixOrdering.partitions(rows, slots, engines);
    return new JobPlan(model, table, prepare, prepared, engine, rows, slots, partitions);
  }

  private static long count(SparkSession spark, PromptTable table, JobConfig config) {
    try {
      return RowCount.of(table.rows(), config, spark.sparkContext().hadoopConfiguration());
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      throw new JobException(Exit.INPUT, "--input: cannot be read: " + Failures.firstLine(e), e);
    }
  }

  private static EngineChoice settle(EngineChoice wanted, SparkContext context) {
    int threads = wanted.threads() > 0 ? wanted.threads() : executorCores(context);
    return new EngineChoice(
        wanted.backend(),
        threads,
        wanted.kvBytes(),
        wanted.kvCodec(),
        wanted.contextTokens(),
        wanted.batchTokens());
  }

  /** Cores of one executor as Spark was told, or as its slots say. */
  private static int executorCores(SparkContext context) {
    SparkConf conf = context.getConf();
    if (!context.isLocal() && conf.contains("spark.executor.cores")) {
      return Math.max(1, conf.getInt("spark.executor.cores", 1));
    }
    String master = context.master();
    if (master.startsWith("local-cluster[")) {
      return Integer.parseInt(master.split("[\\[,\\]]")[2].strip());
    }
    if (context.isLocal()) return Math.max(1, context.defaultParallelism());
    int executors = Math.max(1, context.getExecutorMemoryStatus().size() - 1);
    return Math.max(1, context.defaultParallelism() / executors);
  }
}
