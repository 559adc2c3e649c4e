package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.engine.EngineMemory;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.spark.Forecast.Limits;
import io.shadowbatch.spark.PlanFacts.Fact;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.TokenizerException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * What a run would do, from the input, the model's header and the measured costs of steps: counts,
 * estimated tokens and reuse, seconds, and whether memory suffices. Computes no completion.
 */
public final class PlanReport {

  private static final int SAMPLE_ROWS = 64;
  private static final int SAMPLE_BYTES_MAX = 1 << 18;

  /** Items of a list; of partitions the first are the most expensive ones. */
  private static final int SHOWN = 16;

  private PlanReport() {}

  /** Looks at the whole input once; values by name, in the order in which they are shown. */
  public static Map<String, Object> of(SparkSession spark, Settings settings, Instant start) {
    return of(spark, settings, start, plan -> EngineCosts.ask(spark, plan));
  }

  /** The same with costs from elsewhere. */
  static Map<String, Object> of(
      SparkSession spark,
      Settings settings,
      Instant start,
      Function<JobPlan, EngineCosts.Found> measure) {
    JobConfig config = JobConfig.of(settings, start);
    JobPlan plan = JobPlan.open(spark, config, RootSearch.ALWAYS);
    double bytesPerToken = bytesPerToken(plan);
    EngineCosts.Found costs = measure.apply(plan);
    KvRule rule = new KvRule(plan.engine().kv().mode(), costs.choice());
    List<Row> parts = PartitionFacts.of(plan, bytesPerToken, rule);
    Map<String, Object> map = described(plan, bytesPerToken, parts, errors(plan));
    map.putAll(memory(spark.sparkContext().getConf(), plan));
    map.putAll(predicted(plan, costs.steps(), parts));
    map.putAll(KvPlan.described(config, plan, costs.choice(), PlanFacts.total(parts)));
    return map;
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
      JobPlan plan, double bytesPerToken, List<Row> parts, Map<String, Long> errors) {
    Map<String, Object> map = new LinkedHashMap<>();
    PlanFacts counts = PlanFacts.total(parts);
    long promptTokens = counts.of(Fact.PROMPT_TOKENS);
    long computed = counts.of(Fact.COMPUTED_TOKENS);
    map.put("rows", counts.of(Fact.ROWS));
    map.put("completions", counts.of(Fact.COMPLETIONS));
    map.put("error_rows", errors.values().stream().mapToLong(Long::longValue).sum());
    map.put("errors", errors);
    map.put("prompt_bytes", counts.of(Fact.PROMPT_BYTES));
    map.put("bytes_per_token", hundredths(bytesPerToken));
    map.put("prompt_tokens", promptTokens);
    map.put("reusable_tokens", promptTokens - computed);
    map.put("computed_prompt_tokens", computed);
    int root = plan.sharing().rootBytes();
    map.put("root_bytes", (long) root);
    map.put("root_tokens", Math.round(root / bytesPerToken));
    map.put("copied_rows", counts.of(Fact.COPIED_ROWS));
    map.put("copied_prompt_tokens", Math.round(counts.of(Fact.COPIED_BYTES) / bytesPerToken));
    map.put("copied_completion_tokens_max", counts.of(Fact.COPIED_NEW_TOKENS));
    map.put("prefix_groups", counts.of(Fact.GROUPS));
    map.put("rows_in_prefix_groups", counts.of(Fact.GROUPED_ROWS));
    map.put("largest_prefix_group", counts.of(Fact.LARGEST_GROUP));
    double prefixes = Math.max(1, counts.of(Fact.GROUPS)) * bytesPerToken;
    map.put("mean_group_prefix_tokens", Math.round(counts.of(Fact.GROUP_PREFIX_BYTES) / prefixes));
    map.put(
        "longest_group_prefix_tokens",
        Math.round(counts.of(Fact.LONGEST_PREFIX_BYTES) / bytesPerToken));
    map.put(
        "tokens_saved_by_groups", Math.round(counts.of(Fact.GROUP_SAVED_BYTES) / bytesPerToken));
    map.put("completion_tokens_max", counts.of(Fact.NEW_TOKENS_MAX));
    map.put("longest_prompt_tokens", Math.round(counts.of(Fact.LONGEST_BYTES) / bytesPerToken));
    map.put("rows_that_will_not_fit", counts.of(Fact.LONG_ROWS));
    map.put("context_tokens", plan.model().contextTokens());
    map.putAll(FieldPlan.described(plan.table()));
    map.put("partitions", plan.partitions());
    map.put("slots", plan.slots());
    map.put("partitions_per_slot", hundredths((double) plan.partitions() / plan.slots()));
    map.put("partition_balance", hundredths(balance(parts, plan.partitions())));

    return map;
  }

  /** What the engines of an executor, all alike, are predicted to take. */
  private static Map<String, Object> predicted(JobPlan plan, StepCosts costs, List<Row> parts) {
    Forecast all = new Forecast(0, 0, 0, 0, 0, 0);
    double[] engines = new double[plan.engines()];
    List<Map<String, Object>> partitions = new ArrayList<>();
    for (Row part : parts) {
      Forecast one = Forecast.of(PlanFacts.of(part), costs, Limits.of(plan));
      all = all.then(one);
      // Spark starts partitions by number, each where a slot is free first.
      Arrays.sort(engines);
      engines[0] += one.seconds();
      Map<String, Object> described = new LinkedHashMap<>();
      described.put(PlanFacts.PARTITION, part.getInt(0));
      described.putAll(one.described());
      partitions.add(described);
    }
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("engines", plan.engines());
    map.put("expected_completion_tokens", all.newTokens());
    map.put("predicted_engine_seconds", hundredths(all.seconds()));
    map.put("predicted_seconds", hundredths(Arrays.stream(engines).max().orElse(0)));
    map.put("predicted_kv_bytes_peak", all.kvBytesPeak());
    map.put("step_costs", RunForecast.described(costs));
    map.put("partition_forecasts", partitions);
    return map;
  }

  /** Largest cost of a partition over the mean of them all; 1 if nothing costs anything. */
  static double balance(List<Row> parts, int partitions) {
    long[] costs = parts.stream().mapToLong(p -> PlanFacts.of(p).of(Fact.COST)).toArray();
    long total = Arrays.stream(costs).sum();
    return total == 0 ? 1 : Arrays.stream(costs).max().getAsLong() * (double) partitions / total;
  }

  private static double hundredths(double value) {
    return Math.round(value * 100) / 100.0;
  }

  private static Map<String, Object> memory(SparkConf conf, JobPlan plan) {
    KvOptions kv = plan.engine().kv();
    long kvBytes = kv.deviceBytes();
    long perSequence = plan.model().kvBytesPerToken() * plan.model().contextTokens();
    EngineMemory engine = ExecutorMemory.engine(plan.model().location(), plan.engine());
    ExecutorMemory executor = ExecutorMemory.of(conf, engine);
    boolean onGpu = Gpus.chosen(plan.engine());
    long weights = onGpu ? plan.model().gpuWeightBytes() : engine.weights();
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("weight_bytes", weights);
    map.put("kv_bytes", kvBytes);
    map.put("kv_tokens", kvBytes / plan.model().kvBytesPerToken());
    map.put("kv_bytes_of_a_full_context", perSequence);
    if (kv.hostBytes() > 0) map.put("host_kv_bytes", kv.hostBytes());
    if (onGpu) map.put("gpu_bytes", weights + kvBytes);
    map.putAll(executor.described(conf));
    map.put(
        "memory_fit",
        perSequence > kvBytes
            ? "a full context needs more --device-memory"
            : executor.fit(conf, plan.engine()));
    return map;
  }

  /** The same for people. */
  public static String text(Map<String, Object> plan) {
    StringBuilder out = new StringBuilder();
    plan.forEach(
        (name, value) -> {
          String label = name.replace('_', ' ');
          List<?> items = value instanceof List<?> list ? list : Collections.singletonList(value);
          for (Object item : items.subList(0, Math.min(SHOWN, items.size()))) {
            String shown =
                item instanceof Long n ? String.format(Locale.ROOT, "%,d", n) : "" + item;
            out.append(String.format("  %-28s %s%n", label, shown));
            label = "";
          }
          int more = items.size() - SHOWN;
          if (more > 0) out.append(String.format("  %-28s .. and %,d more%n", label, more));
        });
    return out.toString();
  }
}
