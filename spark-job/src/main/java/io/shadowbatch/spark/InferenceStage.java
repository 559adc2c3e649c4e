package io.shadowbatch.spark;

import io.shadowbatch.ledger.ChunkFormat;
import io.shadowbatch.ledger.StoreSettings;
import java.io.PrintStream;
import java.util.Map;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** The part of a run that computes: what the output lacks, in chunks that tasks commit. */
final class InferenceStage {

  /** Off for the inference: it has nothing to adapt, and planning each stage again takes time. */
  private static final String ADAPTIVE = "spark.sql.adaptive.enabled";

  private final SparkSession spark;
  private final JobConfig config;
  private final CompletionSource.Opener opener;
  private final PrintStream log;
  private final String runId;
  private final RunWatch watch;
  private final TaskCounters counters;

  InferenceStage(
      SparkSession spark,
      JobConfig config,
      CompletionSource.Opener opener,
      PrintStream log,
      String runId,
      RunWatch watch) {
    this.spark = spark;
    this.config = config;
    this.opener = opener;
    this.log = log;
    this.runId = runId;
    this.watch = watch;
    this.counters = TaskCounters.register(spark.sparkContext());
  }

  /** Writes what the output lacks; the summary describes the committed chunks. */
  RunSummary run(RunFolder folder, JobPlan whole, long begin) {
    boolean begun = !folder.parts().isEmpty();
    try (Remaining left = begun ? Remaining.of(spark, whole, config.output().path()) : null) {
      SparkContext context = spark.sparkContext();
      JobPlan plan = begun ? whole.of(left.rows(), left.size(), context, config) : whole;
      RunSummary.Before before =
          begun ? new RunSummary.Before(left.written(), left.errors()) : RunSummary.Before.NOTHING;
      if (begun) {
        log.printf(
            "[shadowbatch] %,d of %,d rows are in the output, %,d are left%n",
            left.committed(), whole.rows(), left.size());
      }
      Map<String, Long> wasted = reuseAndInfer(folder, plan);
      if (folder.parts().isEmpty()) writeNothing(plan);
      Forecast.Limits limits = Forecast.Limits.of(plan);
      return RunSummary.of(counters, limits, runId, config.output().path(), begin)
          .with(before, wasted, watch.stop());
    }
  }

  private Map<String, Long> reuseAndInfer(RunFolder folder, JobPlan plan) {
    if (config.output().reuse().isEmpty()) return infer(folder, plan);
    try (Reuse found = Reuse.of(spark, plan, config.output().reuse())) {
      log.printf(
          "[shadowbatch] %,d of %,d rows have answers in other outputs%n",
          plan.rows() - found.left(), plan.rows());
      if (found.left() < plan.rows()) {
        folder.open();
        Commits commits = commits(plan, Commits.Series.COPIED);
        found.copied().foreachPartition(new Reuse.Copy(settings(plan), commits, counters));
      }
      return infer(folder, plan.of(found.rest(), found.left(), spark.sparkContext(), config));
    }
  }

  private InferenceTask.Settings settings(JobPlan plan) {
    InferenceTask.RawPrompts raw =
        plan.prepare().chat() ? InferenceTask.RawPrompts.RENDERED : InferenceTask.RawPrompts.RAW;
    return new InferenceTask.Settings(
        runId,
        ShadowBatchJob.ENGINE,
        plan.model(),
        plan.engine(),
        config.rows(),
        plan.sharing(),
        plan.table().kept().size(),
        raw);
  }

  private Map<String, Long> infer(RunFolder folder, JobPlan plan) {
    if (plan.rows() == 0 || watch.stop() != null) return Map.of();
    Commits commits = commits(plan, Commits.Series.COMPUTED);
    Dataset<Row> ordered = plan.ordered();
    folder.open();
    SparkContext context = spark.sparkContext();
    context.setJobDescription("ShadowBatch inference " + runId);
    String adaptive = spark.conf().get(ADAPTIVE, "true");
    long expected = plan.rows() * RowParams.samples(config.rows().params());
    try (Progress progress = Progress.start(context, log, expected)) {
      progress.announce(plan.partitions());
      watch.follow(progress);
      spark.conf().set(ADAPTIVE, "false");
      ordered.foreachPartition(new InferenceTask(opener, settings(plan), commits, counters));
      return progress.wasted();
    } finally {
      spark.conf().set(ADAPTIVE, adaptive);
      context.setJobDescription(null);
    }
  }

  private Commits commits(JobPlan plan, Commits.Series series) {
    StructType schema = CompletionTable.schema(plan.table().kept());
    JobConfig.Output output = config.output();
    return new Commits(
        new Path(output.path()).toString(),
        runId,
        series,
        ChunkFormat.of(spark, schema),
        StoreSettings.of(spark.sparkContext()),
        output.chunkRows(),
        output.chunkSeconds());
  }

  /** Readers need the columns even where there are no rows. */
  private void writeNothing(JobPlan plan) {
    if (watch.stop() != null) return;
    ChunkWriter.open(commits(plan, Commits.Series.COMPUTED), 0, counters).commitEmpty();
  }
}
