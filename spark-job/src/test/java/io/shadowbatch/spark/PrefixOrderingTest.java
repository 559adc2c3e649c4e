package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.plan.PlanRow;
import io.shadowbatch.plan.RowCost;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.Planner;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PlanFacts.Fact;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.junit.jupiter.api.Test;

class PrefixOrderingTest {

  private static final Sharing SORTED = new Sharing(PrefixPlan.ON, Dedup.OFF, 0);
  private static final Sharing COPIED = new Sharing(PrefixPlan.ON, Dedup.AUTO, 0);
  private static final Sharing PLAIN = new Sharing(PrefixPlan.OFF, Dedup.OFF, 0);
  private static final StructField KEPT =
      DataTypes.createStructField("kept", DataTypes.StringType, true);

  private final PartitionRuns runs = new PartitionRuns();

  /** Goal: few rows are not spread over tasks that feed the same engine. */
  @Test
  void fewRowsAreOneTaskForOneEngine() {
    assertThat(PrefixOrdering.partitions(0, 2, 1)).isEqualTo(1);
    assertThat(PrefixOrdering.partitions(128, 2, 1)).isEqualTo(1);
    assertThat(PrefixOrdering.partitions(255, 8, 1)).isEqualTo(1);
    assertThat(PrefixOrdering.partitions(256, 2, 1)).isEqualTo(2);
  }

  /** Goal: no executor is left without a task, and many rows get many tasks. */
  @Test
  void eachSlotOfSeveralEnginesGetsATask() {
    assertThat(PrefixOrdering.partitions(10, 8, 2)).isEqualTo(8);
    assertThat(PrefixOrdering.partitions(10_000, 8, 2)).isEqualTo(32);
    assertThat(PrefixOrdering.partitions(100_000, 8, 2)).isEqualTo(97);
    assertThat(PrefixOrdering.partitions(1_000_000, 2, 1)).isEqualTo(512);
    assertThat(PrefixOrdering.partitions(10_000_000, 2, 1)).isEqualTo(1220);
    assertThat(PrefixOrdering.partitions(Long.MAX_VALUE, 8, 2)).isEqualTo(100_000);
  }

  /** Rows of a few topics, some repeated, some broken. */
  private List<Row> mixed(Random random, int count) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int topic = random.nextInt(12);
      String prompt = ("topic " + topic + " ").repeat(20 * topic) + random.nextInt(2 * count);
      boolean repeats = i > 0 && random.nextInt(5) == 0;
      if (random.nextInt(12) == 0) rows.add(runs.broken("" + i));
      else if (repeats) rows.add(rows.get(random.nextInt(i)));
      else rows.add(runs.row("" + i, prompt, Map.of("max_tokens", 1 + random.nextInt(40))));
    }
    return rows;
  }

  /** Many short prompts, and a family of few long ones that stand next to each other. */
  private List<Row> skewed(Random random, int count) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean isLong = i % 5 == 0;
      String prompt = isLong ? "a long family. ".repeat(20) : "short " + random.nextLong() + " ";
      String own = isLong ? i + " and its own text, ".repeat(50 + random.nextInt(300)) : "" + i;
      rows.add(runs.row("" + i, prompt + own, Map.of("max_tokens", 1 + random.nextInt(20))));
    }
    return rows;
  }

  private static Dataset<Row> prepared(List<Row> rows, int inputs) {
    return LocalSpark.spark()
        .createDataFrame(rows, PreparedRows.schema(List.of(KEPT)))
        .repartition(inputs);
  }

  /** What lies in each partition, in order. */
  private static List<List<Prepared>> parts(Dataset<Row> placed, int partitions) {
    // Of an empty table Spark drops all partitions.
    assertThat(placed.rdd().getNumPartitions()).isIn(partitions, placed.isEmpty() ? 0 : partitions);
    List<List<Prepared>> parts = new ArrayList<>();
    for (int i = 0; i < partitions; i++) parts.add(new ArrayList<>());
    for (Row row : placed.selectExpr("spark_partition_id() part", "*").collectAsList()) {
      parts.get(row.getInt(0)).add(PreparedRows.read(row, 2));
    }
    return parts;
  }

  private static List<List<Prepared>> planned(
      Dataset<Row> rows, Sharing sharing, Planner planner, int partitions) {
    return parts(PrefixOrdering.apply(rows, sharing, planner, partitions), partitions);
  }

  private static List<String> keys(List<List<Prepared>> parts) {
    return parts.stream().flatMap(List::stream).map(p -> p.id() + "/" + p.key()).toList();
  }

  private static List<PlanRow> planRows(List<Prepared> part) {
    return part.stream()
        .filter(p -> p.error() == null)
        .map(p -> PlanColumns.of(p, 0, RowParams.maxTokens(p.params())))
        .toList();
  }

  private static long cost(List<PlanRow> rows, RowCost cost) {
    long sum = 0;
    for (int i = 0; i < rows.size(); i++) {
      sum += cost.of(rows.get(i), i == 0 ? null : rows.get(i - 1));
    }
    return sum;
  }

  private static double balance(List<List<Prepared>> parts, RowCost cost) {
    long[] costs = parts.stream().mapToLong(p -> cost(planRows(p), cost)).toArray();
    long sum = Arrays.stream(costs).sum();
    return Arrays.stream(costs).max().getAsLong() * (double) costs.length / sum;
  }

  /** Goal: each row is in one place, in order, beside its equals, in ranges, longest first. */
  @Test
  void everyRowHasItsPlace() {
    for (long seed = 0; seed < 4; seed++) {
      Random random = new Random(seed);
      List<Row> rows = mixed(random, 300);
      Dataset<Row> prepared = prepared(rows, 1 + random.nextInt(5)).cache();
      List<String> expected =
          PartitionRuns.sorted(rows).stream()
              .map(r -> r.getString(1) + "/" + r.getString(2))
              .toList();
      for (Planner planner : Planner.values()) {
        for (int partitions : new int[] {2, 7}) {
          List<List<Prepared>> parts = planned(prepared, COPIED, planner, partitions);
          String what = "seed %d, %s, %d partitions".formatted(seed, planner, partitions);
          assertThat(keys(parts)).as(what).containsExactlyInAnyOrderElementsOf(expected);
          Map<String, Integer> partOf = new HashMap<>();
          long longest = Long.MAX_VALUE;
          for (int i = 0; i < partitions; i++) {
            for (Prepared p : parts.get(i)) {
              assertThat(partOf.merge(p.key(), i, (a, b) -> a)).as(what).isEqualTo(i);
            }
            assertThat(parts.get(i)).as(what).isSortedAccordingTo(PrefixOrderingTest::order);
            long cost = cost(planRows(parts.get(i)), COPIED.cost());
            assertThat(cost).as(what).isLessThanOrEqualTo(longest);
            longest = cost;
          }
          List<List<Prepared>> ranges = new ArrayList<>(parts);
          ranges.removeIf(List::isEmpty);
          ranges.sort((a, b) -> order(a.get(0), b.get(0)));
          assertThat(ranges.stream().flatMap(List::stream).toList())
              .as(what)
              .isSortedAccordingTo(PrefixOrderingTest::order);
        }
      }
      prepared.unpersist();
    }
  }

  private static int order(Prepared a, Prepared b) {
    int order = Arrays.compareUnsigned(a.signature(), b.signature());
    return order != 0 ? order : a.key().compareTo(b.key());
  }

  /** Goal: no rows, one request only, and fewer requests than partitions are planned too. */
  @Test
  void littleToDivide() {
    List<Row> same = Collections.nCopies(50, runs.row("a", "one prompt for all", Map.of()));
    List<Row> three =
        List.of(runs.row("a", "a", Map.of()), runs.row("b", "b", Map.of()), same.get(0));
    List<Row> broken = Collections.nCopies(9, runs.broken("x"));
    for (Planner planner : Planner.values()) {
      for (List<Row> rows : List.of(List.<Row>of(), same, three, broken)) {
        List<List<Prepared>> parts = planned(prepared(rows, 3), SORTED, planner, 5);
        List<Integer> sizes = parts.stream().map(List::size).filter(s -> s > 0).toList();
        assertThat(sizes.stream().mapToInt(s -> s).sum()).isEqualTo(rows.size());
        assertThat(sizes).hasSize((int) rows.stream().distinct().count());
      }
    }
  }

  /** Goal: one prompt of all rows, asked in different ways, is spread nevertheless. */
  @Test
  void onePromptAskedInManyWaysIsSpread() {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 200; i++) rows.add(runs.row("" + i, "one prompt", Map.of("seed", i)));
    for (Planner planner : Planner.values()) {
      assertThat(planned(prepared(rows, 3), SORTED, planner, 4))
          .allMatch(p -> p.size() > 40 && p.size() < 60);
    }
  }

  /** Goal: partitions cost the same, which ranges of as many rows do not. */
  @Test
  void costsAreBalanced() {
    long seed = 5;
    List<Row> rows = skewed(new Random(seed), 3_000);
    Dataset<Row> prepared = prepared(rows, 4).cache();
    RowCost cost = SORTED.cost();
    int partitions = 8;
    Dataset<Row> unweighted =
        prepared
            .repartitionByRange(partitions, PlanColumns.ORDER)
            .sortWithinPartitions(PlanColumns.ORDER);
    double before = balance(parts(unweighted, partitions), cost);
    double range = balance(planned(prepared, SORTED, Planner.RANGE, partitions), cost);
    List<List<Prepared>> exact = planned(prepared, SORTED, Planner.GLOBAL, partitions);
    assertThat(before).as("seed %d, unweighted", seed).isGreaterThan(3);
    assertThat(range).as("seed %d, range", seed).isLessThan(1.35);
    List<PlanRow> all = planRows(sorted(exact));
    long dearest = all.stream().mapToLong(r -> cost.of(r, null)).max().getAsLong();
    long share = cost(all, cost) / partitions;
    for (List<Prepared> part : exact) {
      assertThat((double) cost(planRows(part), cost))
          .as("seed %d, global", seed)
          .isBetween(share - dearest - share / 10.0, share + 2.0 * dearest + share / 10.0);
    }
    assertThat(balance(exact, cost)).as("seed %d, global", seed).isLessThan(1.07);
    prepared.unpersist();
  }

  private static List<Prepared> sorted(List<List<Prepared>> parts) {
    return parts.stream().flatMap(List::stream).sorted(PrefixOrderingTest::order).toList();
  }

  /** Goal: exact cuts are the same for any partitions of the input, and as in one process. */
  @Test
  void exactCutsDoNotDependOnTheInput() {
    for (long seed = 10; seed < 13; seed++) {
      List<Row> rows = mixed(new Random(seed), 400);
      var expected = GlobalCuts.of(prepared(rows, 1), COPIED, 6);
      Collections.shuffle(rows, new Random(seed));
      assertThat(GlobalCuts.of(prepared(rows, 5), COPIED, 6))
          .as("seed %d", seed)
          .isEqualTo(expected);
      assertThat(RangeCuts.of(SampleSource.whole(prepared(rows, 3)), COPIED, 6))
          .as("seed %d, all rows in the sample", seed)
          .isEqualTo(expected);
    }
    assertThat(LocalSpark.spark().sparkContext().getPersistentRDDs().isEmpty())
        .as("nothing stays in memory")
        .isTrue();
  }

  /** Goal: one partition is sorted like several, without a shuffle. */
  @Test
  void onePartitionNeedsNoShuffle() {
    List<Row> rows = mixed(new Random(1), 100);
    Dataset<Row> prepared =
        LocalSpark.spark().createDataFrame(rows, PreparedRows.schema(List.of(KEPT)));
    Dataset<Row> one = PrefixOrdering.apply(prepared, SORTED, Planner.RANGE, 1);
    Dataset<Row> several = PrefixOrdering.apply(prepared, SORTED, Planner.RANGE, 4);
    assertThat(one.queryExecution().executedPlan().toString()).doesNotContain("Exchange");
    assertThat(several.queryExecution().executedPlan().toString()).contains("Exchange");
    assertThat(keys(parts(one, 1))).hasSize(100);
    assertThat(keys(List.of(sorted(parts(one, 1)))))
        .isEqualTo(keys(List.of(sorted(parts(several, 4)))));
    Dataset<Row> unordered = PrefixOrdering.apply(prepared, PLAIN, Planner.GLOBAL, 1);
    assertThat(keys(parts(unordered, 1))).hasSameElementsAs(keys(parts(one, 1)));
  }

  /** Goal: facts name their partition and what it costs. */
  @Test
  void factsOfPartitionsNameTheirCost() {
    List<Row> rows = mixed(new Random(2), 200);
    Dataset<Row> placed =
        PrefixOrdering.apply(prepared(rows, 3), COPIED, Planner.GLOBAL, 4).cache();
    PartitionFacts task = new PartitionFacts(1, 4, 512, COPIED, KvRule.DENSE);
    List<Row> facts = placed.mapPartitions(task, Encoders.row(PlanFacts.schema())).collectAsList();
    List<List<Prepared>> parts = parts(placed, 4);
    assertThat(facts).hasSize(4);
    for (Row fact : facts) {
      List<Prepared> part = parts.get(fact.<Integer>getAs(PlanFacts.PARTITION));
      assertThat(PlanFacts.of(fact).of(Fact.ROWS)).isEqualTo(part.size());
      assertThat(PlanFacts.of(fact).of(Fact.COST)).isEqualTo(cost(planRows(part), COPIED.cost()));
    }
    assertThat(PlanReport.balance(facts, 4)).isEqualTo(balance(parts, COPIED.cost()));
    assertThat(PlanReport.balance(List.of(), 4)).isEqualTo(1);
    placed.unpersist();
  }
}
