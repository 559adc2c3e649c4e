package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobConfig.Planner;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
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
 * @param sharing with the root, if it was looked for and found
 * @param source of these rows, or of a share of them
 */
record JobPlan(
    ModelCard model,
    PromptTable table,
    PrepareTask prepare,
    Dataset<Row> prepared,
    EngineChoice engine,
    Sharing sharing,
    Planner planner,
    SampleSource source,
    int slots,
    int engines,
    int partitions) {

  /** Of a run. */
  static JobPlan open(SparkSession spark, JobConfig config) {
    requireContainers(spark.sparkContext(), config);
    return open(spark, config, RootSearch.IF_SPREAD);
  }

  /** Before the input is read: containers that will be too small are known by their settings. */
  private static void requireContainers(SparkContext context, JobConfig config) {
    SparkConf conf = context.getConf();
    if (!ExecutorMemory.inContainers(conf)) return;
    EngineChoice wanted = settle(config.engine(), context);
    EngineChoice engine =
        wanted.with(wanted.kv().settled(ModelReader.card(config.model(), wanted)));
    ExecutorMemory.of(conf, ExecutorMemory.engine(config.model(), engine))
        .requireContainers(conf, engine);
  }

  static JobPlan open(SparkSession spark, JobConfig config, RootSearch search) {
    SparkContext context = spark.sparkContext();
    int slots = Math.max(1, context.defaultParallelism());
    EngineChoice wanted = settle(config.engine(), context);
    ModelCard model = ModelReader.card(config.model(), wanted);
    EngineChoice engine = wanted.with(wanted.kv().settled(model));
    PromptTable table = table(spark, config, model);
    PrepareTask whole = new PrepareTask(table.reader(), config.rows(), model, 0);
    InputScan.Facts facts = facts(spark, config, table, whole, search);
    PrepareTask prepare = whole.below(facts.rootBytes());
    Dataset<Row> prepared = prepared(table.rows(), table, prepare);
    SampleSource source =
        new SampleSource(
            facts.rows(),
            share ->
                share >= 1
                    ? prepared
                    : prepared(SampleSource.rows(table.rows(), share), table, prepare));
    Sharing sharing = new Sharing(config.prefixPlan(), config.dedup(), facts.rootBytes());
    return new JobPlan(
        model,
        table,
        prepare,
        prepared,
        engine,
        sharing,
        config.planner(),
        source,
        slots,
        engines(context),
        partitions(context, config, facts.rows()));
  }

  /** The same for some of the rows, prepared already. */
  JobPlan of(Dataset<Row> some, long size, SparkContext context, JobConfig config) {
    SampleSource sample = new SampleSource(size, share -> SampleSource.requests(some, share));
    return new JobPlan(
        model,
        table,
        prepare,
        some,
        engine,
        sharing,
        planner,
        sample,
        slots,
        engines,
        partitions(context, config, size));
  }

  /** Rows of the input, or those that are left of it. */
  long rows() {
    return source.rows();
  }

  /** The prepared rows in their partitions, sorted; plans them now if there are several. */
  Dataset<Row> ordered() {
    return PrefixOrdering.apply(prepared, source, sharing, planner, partitions);
  }

  private static Dataset<Row> prepared(Dataset<Row> rows, PromptTable table, PrepareTask prepare) {
    return rows.mapPartitions(prepare, Encoders.row(PreparedRows.schema(table.kept())));
  }

  private static PromptTable table(SparkSession spark, JobConfig config, ModelCard model) {
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
    return FieldPlan.settle(table, config.prompts().fieldOrder());
  }

  private static int partitions(SparkContext context, JobConfig config, long rows) {
    if (config.partitions() > 0) return config.partitions();
    int slots = Math.max(1, context.defaultParallelism());
    return PrefixOrdering.partitions(rows, slots, engines(context));
  }

  /** Executors, as far as Spark knows. */
  private static int engines(SparkContext context) {
    return Math.max(1, context.defaultParallelism() / executorCores(context));
  }

  /** What must be known of the rows before they are ordered, in one pass at most. */
  private static InputScan.Facts facts(
      SparkSession spark,
      JobConfig config,
      PromptTable table,
      PrepareTask prepare,
      RootSearch search) {
    SparkContext context = spark.sparkContext();
    try {
      if (table.reader().source() == Source.OPENAI) {
        OpenAiTable.requireIds(table.rows(), config.input().path());
      }
      long rows = RowCount.known(table.rows(), config, context.hadoopConfiguration());
      boolean wanted = config.prefixPlan() == PrefixPlan.ON && search != RootSearch.NEVER;
      boolean spread = rows < 0 || partitions(context, config, rows) > 1;
      if (wanted && (spread || search == RootSearch.ALWAYS)) {
        return InputScan.of(table.rows(), prepare, rows);
      }
      return new InputScan.Facts(rows < 0 ? table.rows().count() : rows, 0);
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      JobException own = Failures.cause(e, JobException.class);
      if (own != null) throw own;
      throw new JobException(Exit.INPUT, "--input: cannot be read: " + Failures.firstLine(e), e);
    }
  }

  private static EngineChoice settle(EngineChoice wanted, SparkContext context) {
    if (wanted.backend().equals(Gpus.BACKEND) && !context.isLocal()) {
      Gpus.requireRequested(context.getConf());
    }
    int threads = wanted.threads() > 0 ? wanted.threads() : executorCores(context);
    return wanted.withThreads(threads);
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
