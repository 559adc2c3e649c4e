package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PartitionCutsTest {

  private static final RowCost COST = RowCost.USUAL;

  /** Goal: partitions are contiguous, hold equal requests together, and the longest is number 0. */
  @Test
  void contiguousAndLongestFirst() {
    for (long seed = 0; seed < 200; seed++) {
      Random random = new Random(seed);
      List<PlanRow> rows = PlanRows.random(random, 1 + random.nextInt(300));
      int partitions = 1 + random.nextInt(20);
      PartitionCuts cuts = PlanRows.cuts(rows, COST, partitions);
      assertThat(cuts.partitions()).isEqualTo(partitions);
      List<Integer> changes = new ArrayList<>();
      Map<String, Integer> of = new HashMap<>();
      for (PlanRow row : rows) {
        int number = cuts.partition(row.signature(), row.key());
        assertThat(of.merge(row.key(), number, (a, b) -> a)).as("seed %d", seed).isEqualTo(number);
        if (changes.isEmpty() || changes.get(changes.size() - 1) != number) changes.add(number);
      }
      assertThat(changes).as("seed %d", seed).doesNotHaveDuplicates();
      List<List<PlanRow>> parts = PlanRows.divided(rows, cuts);
      long longest = Long.MAX_VALUE;
      for (int i = 0; i < partitions; i++) {
        long exact = PlanRows.cost(parts.get(i), COST);
        assertThat(cuts.costs()[i])
            .as("seed %d", seed)
            .isEqualTo(exact)
            .isLessThanOrEqualTo(longest);
        longest = exact;
      }
    }
  }

  /** Goal: partitions of one cost keep the order of their rows. */
  @Test
  void equalCostsKeepTheirOrder() {
    List<PlanRow> rows = new ArrayList<>();
    for (int i = 0; i < 40; i++) rows.add(new PlanRow(new byte[] {(byte) i}, "k", 400, 10, 1));
    PartitionCuts cuts = PlanRows.cuts(rows, COST, 8);
    for (int i = 0; i < 40; i++) {
      assertThat(cuts.partition(rows.get(i).signature(), "k")).isEqualTo(i / 5);
    }
    assertThat(cuts.costs()).containsOnly(5 * COST.of(rows.get(0), null));
  }

  /** Goal: rows that were not seen go with those that begin like them. */
  @Test
  void aCutIsTheShortestBeginning() {
    PlanRow left = new PlanRow(new byte[] {1, 1, 9, 9}, "k", 10_000, 1, 1);
    PlanRow right = new PlanRow(new byte[] {1, 2, 5, 5}, "k", 10_000, 1, 1);
    PartitionCuts cuts = PlanRows.cuts(List.of(left, right), COST, 2);
    int of = cuts.partition(right.signature(), "k");
    assertThat(cuts.partition(left.signature(), "k")).isNotEqualTo(of);
    assertThat(cuts.partition(new byte[] {1, 2}, "")).isEqualTo(of);
    assertThat(cuts.partition(new byte[] {1, 2, 0}, "a")).isEqualTo(of);
    assertThat(cuts.partition(new byte[] {1, 1, (byte) 0xff}, "z")).isNotEqualTo(of);
    assertThat(cuts.partition(new byte[0], "error")).isNotEqualTo(of);
  }

  /** Goal: prompts that are the same text are told apart by what else is asked. */
  @Test
  void oneSignatureIsCutByKeys() {
    List<PlanRow> rows = new ArrayList<>();
    for (int i = 10; i < 50; i++) rows.add(new PlanRow(new byte[] {7}, "k" + i, 4, 10, 1));
    List<List<PlanRow>> parts = PlanRows.divided(rows, PlanRows.cuts(rows, COST, 4));
    assertThat(parts).allMatch(p -> p.size() >= 9 && p.size() <= 11);
  }

  /** Goal: a cut costs what its two rows share and no more, to the engine and to the planner. */
  @Test
  void cutsCostWhatIsSharedAcrossThem() {
    int dearer = 0;
    for (long seed = 0; seed < 200; seed++) {
      Random random = new Random(seed);
      List<PlanRow> rows = PlanRows.random(random, 1 + random.nextInt(300));
      PartitionCuts cuts = PlanRows.cuts(rows, COST, 2 + random.nextInt(12));
      List<List<PlanRow>> parts = PlanRows.divided(rows, cuts);
      parts.removeIf(List::isEmpty);
      parts.sort((a, b) -> PlanRow.ORDER.compare(a.get(0), b.get(0)));
      long computed = 0;
      long costs = 0;
      long shared = 0;
      PlanRow last = null;
      for (List<PlanRow> part : parts) {
        computed += computedBytes(part);
        costs += PlanRows.cost(part, COST);
        shared += part.get(0).sharedBytes(last);
        last = part.get(part.size() - 1);
      }
      assertThat(computed).as("seed %d", seed).isEqualTo(computedBytes(rows) + shared);
      assertThat(costs)
          .as("seed %d", seed)
          .isEqualTo(PlanRows.cost(rows, COST) + COST.ofPrompt(shared));
      if (shared > 0) dearer++;
    }
    assertThat(dearer).isPositive();
  }

  /** What reuse of every common beginning leaves to compute. */
  private static long computedBytes(List<PlanRow> rows) {
    List<SortedPrompt<Integer>> prompts = new ArrayList<>();
    for (PlanRow row : rows) prompts.add(new SortedPrompt<>(row.signature(), row.bytes(), 10, 0));
    return PlanPrompts.plan(prompts, PlanRules.of(4)).statistics().optimumBytes();
  }

  /** Goal: a sample that holds all rows gives the exact cuts; a small one is not far from them. */
  @Test
  void samplesGiveTheCuts() {
    for (long seed = 0; seed < 40; seed++) {
      Random random = new Random(seed);
      List<PlanRow> rows = PlanRows.random(random, 4_000);
      for (double repeated : new double[] {0, 1}) {
        RowCost cost = COST.withRepeated(repeated);
        PartitionCuts exact = PlanRows.cuts(rows, cost, 8);
        assertThat(sampled(random, rows, cost, 3_000, 8)).as("seed %d", seed).isEqualTo(exact);
        PartitionCuts rough = sampled(random, rows, cost, 200, 8);
        assertThat(PlanRows.balance(PlanRows.divided(rows, rough), cost))
            .as("seed %d, repeated %s", seed, repeated)
            .isLessThan(1.6);
      }
    }
  }

  private static PartitionCuts sampled(
      Random random, List<PlanRow> rows, RowCost cost, int requestsMax, int partitions) {
    List<RowSample> samples = new ArrayList<>();
    for (int i = 0; i < 4; i++) samples.add(new RowSample(requestsMax));
    List<PlanRow> mixed = new ArrayList<>(rows);
    Collections.shuffle(mixed, random);
    for (PlanRow row : mixed) samples.get(random.nextInt(4)).add(row.key(), () -> row);
    return SampledCuts.of(
        samples.stream().flatMap(s -> s.rows().stream()).toList(), cost, partitions);
  }
}
