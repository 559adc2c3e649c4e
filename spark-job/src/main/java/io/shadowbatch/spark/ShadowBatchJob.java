package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import java.io.PrintStream;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;

/**
 * The job: prompts in, completions out, in three stages: prepare (narrow), order (one shuffle),
 * infer (the stage that writes the files). Exactly one action runs above the inference.
 */
public final class ShadowBatchJob {

  /** Name of the engine in every output row. */
  static final String ENGINE = "shadowbatch 0.1.0";

  /** Off for the inference: it has nothing to adapt, and planning each stage again takes time. */
  private static final String ADAPTIVE = "spark.sql.adaptive.enabled";

  private final SparkSession spark;
  private final Settings settings;
  private final JobConfig config;
  private final PrintStream log;
  private final CompletionSource.Opener opener;
  private final Instant start;

  public ShadowBatchJob(SparkSession spark, Settings settings, Instant start, PrintStream log) {
    this(spark, settings, start, log, ExecutorEngine::get);
  }

  ShadowBatchJob(
      SparkSession spark,
      Settings settings,
      Instant start,
      PrintStream log,
      CompletionSource.Opener opener) {
    this.spark = spark;
    this.settings = settings;
    this.config = JobConfig.of(settings, start);
    this.log = log;
    this.opener = opener;
    this.start = start;
  }

  /** Runs the job; throws {@link JobException} for what the user can mend. */
  public RunSummary run() {
    long begin = System.nanoTime();
    RunFolder.check(
        spark.sparkContext().hadoopConfiguration(),
        settings.required(JobOptions.OUTPUT),
        config.output().onExisting());
    JobPlan plan = JobPlan.open(spark, config);
    return run(plan, begin);
  }

  RunSummary run(JobPlan plan, long begin) {
    String runId = start.toString().replaceAll("[-:]|\\..*|Z", "") + "-" + randomId();
    String output = config.output().path();
    RunFolder folder =
        RunFolder.claim(
            spark.sparkContext().hadoopConfiguration(),
            output,
            config.output().onExisting(),
            runId);
    folder.write("config.json", record(runId, plan));
    folder.write("status.json", Map.of("state", "running", "started", start.toString()));
    log.printf(
        "[shadowbatch] run %s: %s, %s kernels, %d threads an executor%n",
        runId, plan.model().name(), plan.engine().backend(), plan.engine().threads());
    TaskCounters counters = TaskCounters.register(spark.sparkContext());
    try {
      infer(plan, counters, runId, output);
      check(counters, folder.rows(spark.sparkContext().hadoopConfiguration()));
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      JobException known = known(e);
      folder.write(
          "status.json",
          Map.of(
              "state", "failed",
              "started", start.toString(),
              "exit_code", known.exit().code(),
              "reason", known.getMessage()));
      throw known;
    }
    Forecast.Limits limits = Forecast.Limits.of(plan);
    return finished(folder, plan, RunSummary.of(counters, limits, runId, output, begin));
  }

  private void infer(JobPlan plan, TaskCounters counters, String runId, String output) {
    InferenceTask.RawPrompts raw =
        plan.prepare().chat() ? InferenceTask.RawPrompts.RENDERED : InferenceTask.RawPrompts.RAW;
    InferenceTask.Settings task =
        new InferenceTask.Settings(
            runId,
            ENGINE,
            plan.model(),
            plan.engine(),
            config.rows(),
            plan.sharing(),
            plan.table().kept().size(),
            raw);
    Dataset<Row> ordered = plan.ordered();
    Dataset<Row> completions =
        ordered.mapPartitions(
            new InferenceTask(opener, task, counters),
            Encoders.row(CompletionTable.schema(plan.table().kept())));
    spark.sparkContext().setJobDescription("ShadowBatch inference " + runId);
    String adaptive = spark.conf().get(ADAPTIVE, "true");
    long expected = plan.rows() * RowParams.samples(config.rows().params());
    try (Progress progress = Progress.start(spark.sparkContext(), log, expected)) {
      progress.announce(plan.partitions());
      spark.conf().set(ADAPTIVE, "false");
      completions.write().mode(SaveMode.Append).parquet(output);
    } finally {
      spark.conf().set(ADAPTIVE, adaptive);
      spark.sparkContext().setJobDescription(null);
    }
  }

  /** The summary describes the files, or the run fails. */
  private void check(TaskCounters counters, long written) {
    long counted = counters.rows().sum();
    if (written < 0 || written == counted) return;
    throw new JobException(
        Exit.UNEXPECTED,
        "--output %s: its files hold %d rows, the tasks that wrote them counted %d"
            .formatted(config.output().path(), written, counted));
  }

  private RunSummary finished(RunFolder folder, JobPlan plan, RunSummary summary) {
    boolean withinBudget = summary.errorRate() <= config.output().errorRateMax();
    Map<String, Object> status = new LinkedHashMap<>();
    status.put("state", "finished");
    status.put("started", start.toString());
    status.put("exit_code", withinBudget ? 0 : Exit.ERROR_BUDGET.code());
    folder.write("metrics.json", summary.described());
    folder.write("forecast.json", summary.forecast().described());
    folder.write("status.json", status);
    Map<String, Object> manifest = new LinkedHashMap<>();
    manifest.put("schema_version", CompletionTable.SCHEMA_VERSION);
    manifest.put("engine", ENGINE);
    manifest.put("runs", List.of(summary.runId()));
    manifest.put("rows", summary.rows());
    manifest.put("rows_error", summary.errorRows());
    manifest.put("kv_mode", plan.engine().kv().mode().shown());
    manifest.putAll(summary.read());
    manifest.putAll(KvReport.notes(plan.engine().kv(), summary.forecast().fellBack()));
    manifest.putAll(FieldPlan.described(plan.table()));
    manifest.put("files", folder.parts());
    folder.writeManifest(manifest);
    return summary;
  }

  /** Whether so many rows failed that the process must say so. */
  public boolean overBudget(RunSummary summary) {
    return summary.errorRate() > config.output().errorRateMax();
  }

  /** Share of error rows that the user accepts. */
  public double errorRateMax() {
    return config.output().errorRateMax();
  }

  private Map<String, Object> record(String runId, JobPlan plan) {
    EngineChoice engine = plan.engine();
    Map<String, Object> chosen = new LinkedHashMap<>();
    chosen.put("partitions", plan.partitions());
    chosen.put("root_bytes", plan.sharing().rootBytes());
    chosen.put("threads", engine.threads());
    chosen.put("kv_mode", engine.kv().mode().shown());
    chosen.put("context_tokens", plan.model().contextTokens());
    chosen.put("template_date", config.rows().clock().toString());
    chosen.putAll(FieldPlan.described(plan.table()));
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("location", plan.model().location());
    model.put("fingerprint", plan.model().fingerprint());
    model.put("family", plan.model().family());
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("run_id", runId);
    map.put("started", start.toString());
    map.put("engine", ENGINE);
    map.put("spark", spark.version());
    map.put("java", System.getProperty("java.version"));
    map.put("options", settings.described());
    map.put("chosen", chosen);
    map.put("model", model);
    return map;
  }

  private static String randomId() {
    return UUID.randomUUID().toString().substring(0, 8);
  }

  /** What failed, if a task or Spark said so in a way that the user can mend. */
  static JobException known(Exception e) {
    JobException own = Failures.cause(e, JobException.class);
    if (own != null) return own;
    String text = String.valueOf(e.getMessage());
    int at = text.indexOf(JobException.class.getName() + ": ");
    if (at >= 0) {
      String message = text.substring(at + JobException.class.getName().length() + 2);
      String line = message.lines().findFirst().orElse("");
      Exit exit = line.startsWith("--model") ? Exit.MODEL : Exit.UNEXPECTED;
      return new JobException(exit, line, e);
    }
    if (text.contains("FAILED_READ_FILE") || text.contains("UNABLE_TO_INFER_SCHEMA")) {
      return new JobException(Exit.INPUT, "--input: " + Failures.firstLine(e), e);
    }
    return new JobException(Exit.UNEXPECTED, "the job failed: " + Failures.firstLine(e), e);
  }
}
