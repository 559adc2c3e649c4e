package io.shadowbatch.spark;

import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.PlanFacts.Fact;
import java.lang.management.ManagementFactory;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;

/**
 * Workload PL: what planning costs, without inference. Synthetic prompts, made while they are read,
 * take the path of a run: the pass for root and rows, preparation (rendering, signature, request
 * key), the range shuffle and sort, the group planner. Only what a run would hand to its engines is
 * counted instead.
 *
 * <p>CPU time is that of the tasks' threads as Spark measures it, less what making prompts took,
 * which happens as often as Spark reads its input. In a local Spark the driver's heap is the whole
 * process's: what is left of it after a collection does not grow with the rows.
 */
public final class PlanningBench {

  private static final String USAGE =
      """
      bench plan --model M [--rows 100000,1000000] [--partitions P] [--threads 2]
          [--prompt-bytes 1200] [--seed 7] [options of the job]

      PL: prompts of that many bytes, of which groups of 16 share the first three quarters, raw
      unless an option of the job says otherwise (--prompt-template '{prompt}' renders them by the
      chat template). Prints for each number of rows wall time, microseconds of CPU a prompt with
      and without making the prompts, bytes shuffled, heap left after a collection, and the CPU a
      prompt over that of the fewest rows: linear is 1. Needs disk for the shuffled bytes.

      defaults: all of the above; partitions 0: as a run chooses them
      """;

  private static final int WARM_UP_ROWS = 100_000;
  private static final int WARM_UPS = 2;

  /** As Spark cuts files. */
  private static final long SLICE_BYTES = 128L << 20;

  private static final double BYTES_PER_TOKEN = 4;
  private static final int BYTES_MAX = 1 << 24;
  private static final long CLEANER_MILLIS = 300;
  private static final Instant NOW = Instant.EPOCH;

  private final SparkSession spark;
  private final Map<String, List<String>> given;
  private final int bytes;
  private final String seed;

  PlanningBench(SparkSession spark, Map<String, List<String>> options) {
    this.spark = spark;
    this.given = new LinkedHashMap<>(options);
    this.bytes = (int) Math.min(BYTES_MAX, number("prompt-bytes", taken("prompt-bytes", "1200")));
    this.seed = taken("seed", "7");
  }

  /**
   * What planning of some rows cost.
   *
   * @param tasks all of Spark's tasks
   * @param madeNanos CPU time of making prompts, in those tasks
   * @param passes how often the prompts were made
   * @param heapBytes left after a collection
   */
  record Result(
      long rows,
      int partitions,
      double seconds,
      TaskCosts.Cost tasks,
      long madeNanos,
      double passes,
      long heapBytes,
      PlanFacts counts) {

    double micros() {
      return tasks.cpuNanos() / 1e3 / rows;
    }

    double madeMicros() {
      return madeNanos / 1e3 / rows;
    }

    double planningMicros() {
      return micros() - madeMicros();
    }
  }

  public static void main(String[] args) throws Exception {
    if (List.of(args).contains("--help")) {
      System.out.print(USAGE);
      return;
    }
    Map<String, List<String>> options = new LinkedHashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) {
      options.put(args[i].replaceFirst("^--", ""), List.of(args[i + 1]));
    }
    if (!options.containsKey("model") || args.length % 2 != 0) {
      throw new JobException(Exit.USAGE, "bench plan: --model is needed\n" + USAGE);
    }
    String rows = options.getOrDefault("rows", List.of("100000,1000000")).get(0);
    int threads = (int) number("threads", options.getOrDefault("threads", List.of("2")).get(0));
    options.keySet().removeAll(List.of("rows", "threads"));
    long[] sizes = Stream.of(rows.split(",")).mapToLong(n -> number("rows", n)).toArray();
    try (Session session = Session.local(threads)) {
      new PlanningBench(session.spark(), options).table(sizes);
    }
  }

  private static long number(String option, String text) {
    try {
      long number = Long.parseLong(text.strip());
      if (number > 0) return number;
    } catch (NumberFormatException e) {
      // said below, with the option's name
    }
    throw new JobException(
        Exit.USAGE, "--%s: expected a whole number above 0, got %s".formatted(option, text));
  }

  private String taken(String name, String initial) {
    List<String> values = given.remove(name);
    return values == null ? initial : values.get(0);
  }

  private void table(long[] sizes) {
    for (int i = 0; i < WARM_UPS; i++) measured(WARM_UP_ROWS);
    System.out.printf(
        "prompts of %d bytes, seed %s, Spark %s, %s%n",
        bytes, seed, spark.version(), spark.sparkContext().master());
    System.out.println(
        "           rows partitions   wall s   CPU us   made  planning  passes  shuffle MB"
            + "  spilled MB  heap MB  linear   groups  shared");
    List<String> lines = new ArrayList<>();
    double first = Double.NaN;
    for (long rows : sizes) {
      Result r = measured(rows);
      if (Double.isNaN(first)) first = r.planningMicros();
      System.out.println(row(r, r.planningMicros() / first));
      lines.add(json(r, r.planningMicros() / first));
    }
    lines.forEach(System.out::println);
  }

  /** Plans so many rows as a run does and says what it cost. */
  Result measured(long rows) {
    JobConfig config = JobConfig.of(Settings.merge(options(rows), Session.properties(), null), NOW);
    long made = SyntheticPrompts.rows();
    long madeNanos = SyntheticPrompts.nanos();
    try (TaskCosts costs = TaskCosts.listen(spark.sparkContext())) {
      long begin = System.nanoTime();
      JobPlan plan = JobPlan.open(spark, config);
      PlanFacts counts = PlanFacts.total(PartitionFacts.of(plan, BYTES_PER_TOKEN, KvRule.DENSE));
      double seconds = (System.nanoTime() - begin) / 1e9;
      if (counts.of(Fact.ROWS) != rows || counts.of(Fact.PROMPT_BYTES) < rows * bytes) {
        throw new IllegalStateException(
            "planned %d rows of %d bytes, expected %d of %d each"
                .formatted(counts.of(Fact.ROWS), counts.of(Fact.PROMPT_BYTES), rows, bytes));
      }
      return new Result(
          rows,
          plan.partitions(),
          seconds,
          total(rows, costs.stages()),
          SyntheticPrompts.nanos() - madeNanos,
          (double) (SyntheticPrompts.rows() - made) / rows,
          heapBytes(),
          counts);
    }
  }

  private Map<String, List<String>> options(long rows) {
    int slots = spark.sparkContext().defaultParallelism();
    long slices = Math.max(2L * slots, rows * bytes / SLICE_BYTES);
    Map<String, List<String>> all = new LinkedHashMap<>(given);
    all.put("input-format", List.of(SyntheticPrompts.class.getName()));
    List<String> table =
        List.of("rows=" + rows, "bytes=" + bytes, "seed=" + seed, "slices=" + slices);
    all.put("input-option", table);
    return all;
  }

  private static TaskCosts.Cost total(long rows, Map<Integer, TaskCosts.Cost> stages) {
    TaskCosts.Cost total = TaskCosts.Cost.NONE;
    for (var stage : stages.entrySet()) {
      TaskCosts.Cost cost = stage.getValue();
      total = total.plus(cost);
      System.err.printf(
          Locale.ROOT,
          "%,d rows, stage %d: %d tasks, %.2f us of CPU a row, %.1f MB shuffled%n",
          rows,
          stage.getKey(),
          cost.tasks(),
          cost.cpuNanos() / 1e3 / rows,
          cost.shuffleBytes() / 1e6);
    }
    return total;
  }

  /** Twice, for Spark's own cleaner frees what the first collection found to be unreachable. */
  private static long heapBytes() {
    for (int i = 0; i < 2; i++) {
      System.gc();
      try {
        Thread.sleep(CLEANER_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }

  private static String row(Result r, double linear) {
    return String.format(
        Locale.ROOT,
        "PL %12d %10d %8.1f %8.2f %6.2f %9.2f %7.2f %11.1f %11.1f %8.1f %7.2f %8d %7.3f",
        r.rows(),
        r.partitions(),
        r.seconds(),
        r.micros(),
        r.madeMicros(),
        r.planningMicros(),
        r.passes(),
        r.tasks().shuffleBytes() / 1e6,
        r.tasks().spilledBytes() / 1e6,
        r.heapBytes() / 1e6,
        linear,
        r.counts().of(Fact.GROUPS),
        1 - (double) r.counts().of(Fact.COMPUTED_TOKENS) / r.counts().of(Fact.PROMPT_TOKENS));
  }

  private static String json(Result r, double linear) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("workload", "PL");
    fields.put("rows", r.rows());
    fields.put("partitions", r.partitions());
    fields.put("wall_s", r.seconds());
    fields.put("cpu_us", r.micros());
    fields.put("making_us", r.madeMicros());
    fields.put("planning_us", r.planningMicros());
    fields.put("passes", r.passes());
    fields.put("tasks", r.tasks().tasks());
    fields.put("shuffle_bytes", r.tasks().shuffleBytes());
    fields.put("spilled_bytes", r.tasks().spilledBytes());
    fields.put("gc_ms", r.tasks().gcMillis());
    fields.put("heap_bytes", r.heapBytes());
    fields.put("linear", linear);
    fields.put("groups", r.counts().of(Fact.GROUPS));
    fields.put("prompt_bytes", r.counts().of(Fact.PROMPT_BYTES));
    fields.put("prompt_tokens", r.counts().of(Fact.PROMPT_TOKENS));
    fields.put("computed_prompt_tokens", r.counts().of(Fact.COMPUTED_TOKENS));
    return Session.json(fields);
  }
}
