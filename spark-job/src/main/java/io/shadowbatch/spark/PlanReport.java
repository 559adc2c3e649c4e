package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.TokenizerException;
import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * What a run would do, from the input and the model's header: counts, estimated tokens and reuse,
 * and whether memory suffices. Runs no model.
 */
public final class PlanReport {

  private static final int SAMPLE_ROWS = 64;
  private static final int SAMPLE_BYTES_MAX = 1 << 18;

  private static final StructType PARTITION =
      new StructType()
          .add("rows", DataTypes.LongType)
          .add("completions", DataTypes.LongType)
          .add("bytes", DataTypes.LongType)
          .add("shared", DataTypes.LongType)
          .add("longest", DataTypes.LongType)
          .add("long_rows", DataTypes.LongType)
          .add("new_tokens", DataTypes.LongType);

  private PlanReport() {}

  /** Looks at the whole input once; values by name, in the order in which they are shown. */
  public static Map<String, Object> of(SparkSession spark, Settings settings, Instant start) {
    JobConfig config = JobConfig.of(settings, start);
    JobPlan plan = JobPlan.open(spark, config);
    double bytesPerToken = bytesPerToken(plan);
    int context = plan.model().contextTokens();
    Dataset<Row> ordered =
        PrefixOrdering.apply(plan.prepared(), config.prefixPlan(), plan.partitions());
    PartitionFacts task =
        new PartitionFacts(plan.table().kept().size(), (long) (bytesPerToken * context));
    List<Row> parts = ordered.mapPartitions(task, Encoders.row(PARTITION)).collectAsList();
    Map<String, Long> errors = errors(plan);
    return described(plan, bytesPerToken, sums(parts), errors);
  }

  private static Map<String, Long> errors(JobPlan plan) {
    Map<String, Long> errors = new TreeMap<>();
    for (Row row :
        plan.prepared()
            .where(col(PreparedRows.ERROR_CODE).isNotNull())
            .groupBy(col(PreparedRows.ERROR_CODE))
            .count()
            .collectAsList()) {
      errors.put(row.getString(0), row.getLong(1));
    }
    return errors;
  }

  private static long[] sums(List<Row> parts) {
    long[] sums = new long[PARTITION.size()];
    for (Row part : parts) {
      for (int i = 0; i < sums.length; i++) {
        sums[i] = i == 4 ? Math.max(sums[i], part.getLong(i)) : sums[i] + part.getLong(i);
      }
    }
    return sums;
  }

  private static double bytesPerToken(JobPlan plan) {
    Tokenizer tokenizer = ModelReader.tokenizer(ModelFiles.local(plan.model().location()));
    long bytes = 0;
    long tokens = 0;
    int kept = plan.table().kept().size();
    for (Row row :
        plan.prepared()
            .where(col(PreparedRows.ERROR_CODE).isNull())
            .where(col(PreparedRows.PROMPT_BYTES).leq(SAMPLE_BYTES_MAX))
            .limit(SAMPLE_ROWS)
            .collectAsList()) {
      byte[] prompt = PreparedRows.read(row, kept).prompt();
      try {
        tokens += tokenizer.encode(new String(prompt, StandardCharsets.UTF_8)).length;
        bytes += prompt.length;
      } catch (TokenizerException e) {
        continue;
      }
    }
    return tokens == 0 ? 4 : (double) bytes / tokens;
  }

  private static Map<String, Object> described(
      JobPlan plan, double bytesPerToken, long[] sums, Map<String, Long> errors) {
    Map<String, Object> map = new LinkedHashMap<>();
    long promptTokens = Math.round(sums[2] / bytesPerToken);
    long reusable = Math.round(sums[3] / bytesPerToken);
    map.put("rows", sums[0]);
    map.put("completions", sums[1]);
    map.put("error_rows", errors.values().stream().mapToLong(Long::longValue).sum());
    map.put("errors", errors);
    map.put("prompt_bytes", sums[2]);
    map.put("bytes_per_token", Math.round(bytesPerToken * 100) / 100.0);
    map.put("prompt_tokens", promptTokens);
    map.put("reusable_tokens", reusable);
    map.put("computed_prompt_tokens", promptTokens - reusable);
    map.put("completion_tokens_max", sums[6]);
    map.put("longest_prompt_tokens", Math.round(sums[4] / bytesPerToken));
    map.put("rows_that_look_too_long", sums[5]);
    map.put("context_tokens", plan.model().contextTokens());
    map.put("partitions", plan.partitions());
    map.put("slots", plan.slots());
    map.putAll(memory(plan));
    return map;
  }

  private static Map<String, Object> memory(JobPlan plan) {
    long kvBytes = plan.engine().kvBytes();
    long perSequence = plan.model().kvBytesPerToken() * plan.model().contextTokens();
    long heap = Runtime.getRuntime().maxMemory();
    long needed = plan.model().weightBytes() + kvBytes + heap;
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("weight_bytes", plan.model().weightBytes());
    map.put("kv_bytes", kvBytes);
    map.put("kv_tokens", kvBytes / plan.model().kvBytesPerToken());
    map.put("kv_bytes_of_a_full_context", perSequence);
    map.put("executor_bytes_off_heap", plan.model().weightBytes() + kvBytes);
    long host = hostBytes();
    map.put("driver_host_bytes", host);
    boolean fits = perSequence <= kvBytes && needed <= host;
    String why = perSequence > kvBytes ? "a full context needs more --kv-memory" : "host too small";
    map.put("memory_fit", fits ? "yes" : why);
    return map;
  }

  private static long hostBytes() {
    var system = ManagementFactory.getOperatingSystemMXBean();
    return system instanceof com.sun.management.OperatingSystemMXBean own
        ? own.getTotalMemorySize()
        : Long.MAX_VALUE;
  }

  /** The same for people. */
  public static String text(Map<String, Object> plan) {
    StringBuilder out = new StringBuilder();
    plan.forEach(
        (name, value) -> {
          String shown =
              value instanceof Long n ? String.format(Locale.ROOT, "%,d", n) : "" + value;
          out.append(String.format("  %-28s %s%n", name.replace('_', ' '), shown));
        });
    return out.toString();
  }

  /** Counts one ordered partition: what each prompt shares with the one before needs no work. */
  private record PartitionFacts(int kept, long contextBytes)
      implements MapPartitionsFunction<Row, Row>, Serializable {

    private static final long serialVersionUID = 1L;

    @Override
    public Iterator<Row> call(Iterator<Row> rows) {
      long[] facts = new long[PARTITION.size()];
      byte[] before = new byte[0];
      while (rows.hasNext()) {
        PreparedRows.Prepared row = PreparedRows.read(rows.next(), kept);
        facts[0]++;
        facts[1] += row.samples();
        if (row.error() != null) continue;
        int shared = PrefixSignature.sharedBlocks(before, row.signature());
        before = row.signature();
        facts[2] += (long) row.prompt().length * row.samples();
        facts[3] += PrefixSignature.bytesOf(shared);
        facts[3] += (long) row.prompt().length * (row.samples() - 1);
        facts[4] = Math.max(facts[4], row.prompt().length);
        if (row.prompt().length >= contextBytes) facts[5]++;
        facts[6] += (long) row.samples() * maxTokens(row.params());
      }
      Object[] values = new Object[facts.length];
      for (int i = 0; i < values.length; i++) values[i] = facts[i];
      return List.of(RowFactory.create(values)).iterator();
    }

    private static int maxTokens(String params) {
      return (int) RowParams.parsed(params).get("max_tokens");
    }
  }
}
