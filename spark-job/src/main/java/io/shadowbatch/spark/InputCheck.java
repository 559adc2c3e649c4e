package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** Checks model header, input columns and the first rows, without running the model. */
public final class InputCheck {

  private static final int ROWS = 1000;

  private InputCheck() {}

  /** What was found; throws as a run would for what makes a run impossible. */
  public static Map<String, Object> of(SparkSession spark, Settings settings, Instant start) {
    JobPlan plan = JobPlan.open(spark, JobConfig.of(settings, start), RootSearch.NEVER);
    long checked = 0;
    Map<String, Long> errors = new TreeMap<>();
    for (Row row :
        plan.prepared().select(col(PreparedRows.ERROR_CODE)).limit(ROWS).collectAsList()) {
      checked++;
      if (!row.isNullAt(0)) errors.merge(row.getString(0), 1L, Long::sum);
    }
    Map<String, Object> found = new LinkedHashMap<>();
    found.put("model", plan.model().name());
    found.put("family", plan.model().family());
    found.put("fingerprint", plan.model().fingerprint());
    found.put("context_tokens", plan.model().contextTokens());
    found.put("chat_template", plan.model().chatTemplate() == null ? "none" : "yes");
    found.put(
        "prompts_from", plan.table().reader().source().name().toLowerCase(java.util.Locale.ROOT));
    found.putAll(FieldPlan.described(plan.table()));
    found.put("rows", plan.rows());
    found.put("rows_checked", checked);
    found.put("rows_with_errors", errors.values().stream().mapToLong(Long::longValue).sum());
    found.put("errors", errors);
    return found;
  }
}
