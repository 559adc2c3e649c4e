package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.SparkSession;

/** What a run leaves beside its rows: configuration, status, metrics, and the output's manifest. */
final class RunRecords {
  private RunRecords() {}

  /** What a run was asked to do and what it chose. */
  static Map<String, Object> config(
      SparkSession spark,
      Settings settings,
      JobConfig config,
      JobPlan plan,
      String runId,
      Instant start) {
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
    map.put("engine", ShadowBatchJob.ENGINE);
    map.put("spark", spark.version());
    map.put("java", System.getProperty("java.version"));
    map.put("options", settings.described());
    map.put("chosen", chosen);
    map.put("model", model);
    return map;
  }

  /** What a run's status says all the time. */
  static Map<String, Object> status(Instant start) {
    Map<String, Object> status = new LinkedHashMap<>();
    status.put("started", start.toString());
    status.put("process", ProcessHandle.current().pid());
    return status;
  }

  /** The same and one value more. */
  static Map<String, Object> with(Map<String, Object> values, String name, Object value) {
    Map<String, Object> more = new LinkedHashMap<>();
    more.put(name, value);
    more.putAll(values);
    return more;
  }

  /** Writes the records of a run that ended; if no row is left, the output is whole. */
  static RunSummary finished(
      SparkSession spark,
      RunFolder folder,
      JobConfig config,
      JobPlan plan,
      RunSummary summary,
      Map<String, Object> begun) {
    RunWatch.Stop stop = summary.stop();
    Inventory files = null;
    if (stop == null) {
      long rows = summary.rows() + summary.before().rows();
      files = Inventory.of(spark, summary.output(), folder.parts()).holding(rows, summary.output());
    }
    boolean withinBudget = summary.errorRate() <= config.output().errorRateMax();
    int code = withinBudget ? 0 : Exit.ERROR_BUDGET.code();
    Map<String, Object> status = with(begun, "state", stop == null ? "finished" : "stopped");
    status.put("exit_code", stop == null ? code : stop.exit().code());
    if (stop != null) status.put("reason", stop.reason());
    folder.write("metrics.json", summary.described());
    folder.write("forecast.json", summary.forecast().described());
    folder.write("status.json", status);
    if (stop == null) folder.finish(manifest(folder, plan, summary, files));
    return summary;
  }

  private static Map<String, Object> manifest(
      RunFolder folder, JobPlan plan, RunSummary summary, Inventory files) {
    Map<String, Object> manifest = new LinkedHashMap<>();
    manifest.put("schema_version", CompletionTable.SCHEMA_VERSION);
    manifest.put("engine", ShadowBatchJob.ENGINE);
    manifest.put("runs", folder.runs());
    manifest.put("rows", summary.rows() + summary.before().rows());
    manifest.put("rows_error", summary.errorRows() + summary.before().errors());
    manifest.put("kv_mode", plan.engine().kv().mode().shown());
    manifest.putAll(summary.read());
    manifest.putAll(KvReport.notes(plan.engine().kv(), summary.forecast().fellBack()));
    manifest.putAll(FieldPlan.described(plan.table()));
    manifest.put("files", files.described());
    return manifest;
  }
}
