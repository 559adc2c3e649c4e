package io.shadowbatch.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Seeded rows for tests of cuts, with what is counted by brute force. */
final class PlanRows {

  private PlanRows() {}

  /** Rows in a random tree, in order; some repeat others. */
  static List<PlanRow> random(Random random, int count) {
    int[] depths = PlanPrompts.depths(random, 1 + random.nextInt(4), 6);
    List<PlanRow> rows = new ArrayList<>();
    for (var p : PlanPrompts.tree(random, count, depths, 1 + random.nextInt(4), 0.2)) {
      String key = "k" + PrefixSignature.nameOf(p.signature(), p.signature().length / 8);
      int tokens = 1 + random.nextInt(200);
      rows.add(new PlanRow(p.signature(), key, p.bytes(), tokens, 1 + random.nextInt(2)));
    }
    // Rows of one key ask for the same.
    for (int i = 1; i < rows.size(); i++) {
      if (rows.get(i).repeats(rows.get(i - 1))) rows.set(i, rows.get(i - 1));
    }
    return rows;
  }

  static PlanRow before(List<PlanRow> rows, int i) {
    return i == 0 ? null : rows.get(i - 1);
  }

  static long cost(List<PlanRow> rows, RowCost cost) {
    long sum = 0;
    for (int i = 0; i < rows.size(); i++) sum += cost.of(rows.get(i), before(rows, i));
    return sum;
  }

  /** All places between rows that are not the same. */
  static List<CutPlace> places(List<PlanRow> rows, RowCost cost) {
    List<CutPlace> places = new ArrayList<>();
    long sum = 0;
    for (int i = 0; i < rows.size(); i++) {
      PlanRow row = rows.get(i);
      PlanRow before = before(rows, i);
      if (!row.repeats(before)) places.add(CutPlace.between(before, row, sum, cost));
      sum += cost.of(row, before);
    }
    return places;
  }

  /** Exact cuts of rows. */
  static PartitionCuts cuts(List<PlanRow> rows, RowCost cost, int partitions) {
    CutSearch search = new CutSearch(cost(rows, cost), partitions);
    places(rows, cost).forEach(search::add);
    return PartitionCuts.of(search.chosen(), cost(rows, cost), partitions);
  }

  /** Rows by partition, in order. */
  static List<List<PlanRow>> divided(List<PlanRow> rows, PartitionCuts cuts) {
    List<List<PlanRow>> parts = new ArrayList<>();
    for (int i = 0; i < cuts.partitions(); i++) parts.add(new ArrayList<>());
    for (PlanRow row : rows) parts.get(cuts.partition(row.signature(), row.key())).add(row);
    return parts;
  }

  /** Largest cost of a partition over the mean. */
  static double balance(List<List<PlanRow>> parts, RowCost cost) {
    long[] costs = parts.stream().mapToLong(p -> cost(p, cost)).toArray();
    long max = 0;
    long sum = 0;
    for (long c : costs) {
      max = Math.max(max, c);
      sum += c;
    }
    return max * (double) costs.length / sum;
  }
}
