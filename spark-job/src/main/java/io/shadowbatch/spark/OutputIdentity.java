package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.RowDefaults;
import io.shadowbatch.spark.JobException.Exit;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.sql.types.StructType;

/**
 * What all rows of an output have in common, besides what their request keys name: whatever could
 * change an answer's bits or a row's columns. Another run may add to the output only with the same.
 */
final class OutputIdentity {
  static final String TEMPLATE_DATE = "template_date";

  private OutputIdentity() {}

  /** That of a run, by names that users know. */
  static Map<String, Object> of(JobPlan plan, RowDefaults rows) {
    KvOptions kv = plan.engine().kv();
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("schema_version", CompletionTable.SCHEMA_VERSION);
    map.put("engine", ShadowBatchJob.ENGINE);
    map.put("model fingerprint", plan.model().fingerprint());
    map.put("--backend", plan.engine().backend());
    map.put("--kv-codec", String.valueOf(kv.codec()));
    map.put("--kv-mode", kv.mode().shown());
    map.put("--shadow options", String.valueOf(kv.shadow()));
    map.put("--max-model-len", plan.model().contextTokens());
    map.put("--on-long-prompt", rows.longPrompts().name());
    map.put("--unknown-params", rows.unknownParams().name());
    map.put("--seed", rows.seed());
    map.put("sampling options", RowParams.json(rows.params()));
    map.put("columns", columns(plan));
    map.put(TEMPLATE_DATE, rows.clock().toString());
    return map;
  }

  private static String columns(JobPlan plan) {
    return new StructType(
            plan.table().kept().toArray(new org.apache.spark.sql.types.StructField[0]))
        .toDDL();
  }

  /** Refuses to add rows to an output that was begun with something else. */
  static void check(String which, Map<String, Object> begun, Map<String, Object> now) {
    for (Map.Entry<String, Object> entry : now.entrySet()) {
      Object before = begun.get(entry.getKey());
      if (Objects.equals(String.valueOf(before), String.valueOf(entry.getValue()))) continue;
      throw new JobException(
          Exit.OUTPUT,
          ("%s was begun with %s %s, this command has %s; repeat that command to go on, or"
                  + " choose another output, or set --on-existing overwrite")
              .formatted(which, entry.getKey(), before, entry.getValue()));
    }
  }
}
