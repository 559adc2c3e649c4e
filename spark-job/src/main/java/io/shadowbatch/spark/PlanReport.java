package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.plan.PlanRules;
import io.shadowbatch.plan.PlanStatistics;
import io.shadowbatch.plan.PrefixGroupPlanner;
import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
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
import java.util.NoSuchElementException;
import java.util.Set;
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
          .add("new_tokens", DataTypes.LongType)
          .add("groups", DataTypes.LongType)
          .add("grouped", DataTypes.LongType)
          .add("group_saved", DataTypes.LongType)
          .add("group_largest", DataTypes.LongType);

  /** Columns of which the largest counts; the others add up. */
  private static final Set<Integer> LARGEST = Set.of(4, 10);

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
        new PartitionFacts(plan.table().kept().size(), bytesPerToken, context, config.prefixPlan());
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
        sums[i] =
            LARGEST.contains(i) ? Math.max(sums[i], part.getLong(i)) : sums[i] + part.getLong(i);
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
    map.put("prefix_groups", sums[7]);
    map.put("rows_in_prefix_groups", sums[8]);
    map.put("largest_prefix_group", sums[10]);
    map.put("tokens_saved_by_groups", Math.round(sums[9] / bytesPerToken));
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
  private record PartitionFacts(int kept, double bytesPerToken, int context, PrefixPlan plan)
      implements MapPartitionsFunction<Row, Row>, Serializable {

    private static final long serialVersionUID = 1L;

    @Override
    public Iterator<Row> call(Iterator<Row> rows) {
      Prompts prompts = new Prompts(rows, this);
      long[] facts = prompts.facts;
      if (plan == PrefixPlan.OFF) {
        while (prompts.hasNext()) prompts.next();
      } else {
        var planner = new PrefixGroupPlanner<>(prompts, PlanRules.of(bytesPerToken));
        while (planner.hasNext()) planner.next();
        PlanStatistics statistics = planner.statistics();
        facts[7] = statistics.groups();
        facts[8] = statistics.grouped();
        facts[9] = statistics.promptBytes() - statistics.plannedBytes();
        facts[10] = statistics.degreeMax();
      }
      Object[] values = new Object[facts.length];
      for (int i = 0; i < values.length; i++) values[i] = facts[i];
      return List.of(RowFactory.create(values)).iterator();
    }
  }

  /** The prompts of a partition for the planner; counts the rows that pass. */
  private static final class Prompts implements Iterator<SortedPrompt<Void>> {
    private final long[] facts = new long[PARTITION.size()];
    private final Iterator<Row> rows;
    private final PartitionFacts task;
    private byte[] before = new byte[0];
    private PreparedRows.Prepared ahead;

    Prompts(Iterator<Row> rows, PartitionFacts task) {
      this.rows = rows;
      this.task = task;
    }

    @Override
    public boolean hasNext() {
      while (ahead == null && rows.hasNext()) {
        PreparedRows.Prepared row = PreparedRows.read(rows.next(), task.kept());
        facts[0]++;
        facts[1] += row.samples();
        if (row.error() == null) ahead = row;
      }
      return ahead != null;
    }

    @Override
    public SortedPrompt<Void> next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more prompts");
      PreparedRows.Prepared row = ahead;
      ahead = null;
      int shared = PrefixSignature.sharedBlocks(before, row.signature());
      before = row.signature();
      int length = row.prompt().length;
      int outputTokens = (int) RowParams.parsed(row.params()).get("max_tokens");
      facts[2] += (long) length * row.samples();
      facts[3] += PrefixSignature.bytesOf(shared);
      facts[3] += (long) length * (row.samples() - 1);
      facts[4] = Math.max(facts[4], length);
      if (length >= (long) (task.bytesPerToken() * task.context())) facts[5]++;
      facts[6] += (long) row.samples() * outputTokens;
      return new SortedPrompt<>(row.signature(), length, outputTokens, null);
    }
  }
}
