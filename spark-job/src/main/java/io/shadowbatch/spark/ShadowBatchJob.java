package io.shadowbatch.spark;

import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.RunWatch.Stop;
import java.io.PrintStream;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;

/**
 * The job: prompts in, completions out, in three stages: prepare (narrow), order (one shuffle),
 * infer (the stage that writes the files). Exactly one action runs above the inference.
 */
public final class ShadowBatchJob {

  /** Name of the engine in every output row. */
  static final String ENGINE = "shadowbatch 0.1.0";

  private final SparkSession spark;
  private final Settings settings;
  private final JobConfig config;
  private final Map<String, Object> begun;
  private final PrintStream log;
  private final CompletionSource.Opener opener;
  private final Instant start;
  private final String runId;
  private final AtomicReference<Stop> asked = new AtomicReference<>();
  private volatile RunWatch watch;

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
    this.log = log;
    this.opener = opener;
    this.start = start;
    this.runId = runId(start);
    JobConfig given = JobConfig.of(settings, start);
    this.begun =
        RunFolder.check(conf(), settings.required(JobOptions.OUTPUT), given.output().onExisting());
    Object date = begun.get(OutputIdentity.TEMPLATE_DATE);
    // What templates write of the date must not change because a job was killed.
    this.config = date == null ? given : JobConfig.of(settings, Instant.parse(date.toString()));
  }

  private static String runId(Instant start) {
    String random = UUID.randomUUID().toString().substring(0, 8);
    return start.toString().replaceAll("[-:]|\\..*|Z", "") + "-" + random;
  }

  private Configuration conf() {
    return spark.sparkContext().hadoopConfiguration();
  }

  /**
   * Stops the run that is under way: tasks commit what they have, and the same command goes on from
   * there. Does nothing if it was stopped before.
   */
  public void stop(String reason) {
    Stop why = new Stop(reason, Exit.STOPPED);
    asked.compareAndSet(null, why);
    RunWatch running = watch;
    if (running != null) running.stop(why);
  }

  /** Runs the job; throws {@link JobException} for what the user can mend. */
  public RunSummary run() {
    long begin = System.nanoTime();
    return run(JobPlan.open(spark, config), begin);
  }

  RunSummary run(JobPlan plan, long begin) {
    String output = config.output().path();
    Map<String, Object> identity = OutputIdentity.of(plan, config.rows());
    Reuse.check(spark, config.output().reuse(), identity); // before anything is overwritten
    spark.sparkContext().setJobGroup(runId, "ShadowBatch " + runId, false);
    try (RunFolder folder =
        RunFolder.claim(conf(), output, config.output().onExisting(), runId, this::lost)) {
      if (folder.described().isEmpty()) folder.describe(identity);
      OutputIdentity.check("--output " + output, folder.described(), identity);
      folder.write("config.json", RunRecords.config(spark, settings, config, plan, runId, start));
      log.printf(
          "[shadowbatch] run %s: %s, %s kernels, %d threads an executor%n",
          runId, plan.model().name(), plan.engine().backend(), plan.engine().threads());
      return claimed(folder, plan, begin);
    } finally {
      spark.sparkContext().clearJobGroup();
    }
  }

  private void lost() {
    stop("--output %s: another run took it".formatted(config.output().path()));
  }

  private RunSummary claimed(RunFolder folder, JobPlan plan, long begin) {
    Map<String, Object> status = RunRecords.status(start);
    folder.write("status.json", RunRecords.with(status, "state", "planning"));
    long errorsMax =
        (long) Math.min(Long.MAX_VALUE, config.output().errorRateMax() * completions(plan));
    try {
      RunSummary summary;
      try (RunWatch running =
          new RunWatch(
              spark.sparkContext(), runId, folder, config.stops(), start, status, errorsMax)) {
        watch = running;
        if (asked.get() != null) running.stop(asked.get());
        InferenceStage stage = new InferenceStage(spark, config, opener, log, runId, running);
        summary = stage.run(folder, plan, begin);
      }
      RunRecords.finished(spark, folder, config, plan, summary, status);
      if (summary.stop() == null) OpenAiExport.after(spark, settings, log);
      return summary;
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      JobException known = stoppedOr(known(e));
      Map<String, Object> failed = RunRecords.with(status, "state", "failed");
      failed.put("exit_code", known.exit().code());
      failed.put("reason", known.getMessage());
      try {
        folder.write("status.json", failed);
      } catch (JobException unwritten) { // as on a full disk, which is why it failed
        known.addSuppressed(unwritten);
      }
      throw known;
    }
  }

  /** Output rows in all; as many as can be if the rows themselves may ask for more than one. */
  private double completions(JobPlan plan) {
    boolean own = List.of(plan.table().rows().columns()).contains(PromptReader.PARAMS);
    return own
        ? Double.MAX_VALUE
        : plan.rows() * (double) RowParams.samples(config.rows().params());
  }

  /** What failed because the run was stopped did not fail. */
  private JobException stoppedOr(JobException failure) {
    Stop stop = watch == null ? null : watch.stop();
    if (stop == null) return failure;
    String text = "stopped: %s; the same command goes on from here".formatted(stop.reason());
    return new JobException(stop.exit(), text, failure);
  }

  /** Whether so many rows failed that the process must say so. */
  public boolean overBudget(RunSummary summary) {
    return summary.errorRate() > config.output().errorRateMax();
  }

  /** Share of error rows that the user accepts. */
  public double errorRateMax() {
    return config.output().errorRateMax();
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
