package io.shadowbatch.plan;

import io.shadowbatch.plan.RowSample.Sampled;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Cuts from samples of the input's partitions. A sampled request stands for as many as its sample
 * leaves out beside it. What it shares with sampled neighbours counts once, as a prefix of many
 * rows does; a prefix of so few that one at most is sampled is taken for the rows' own.
 */
public final class SampledCuts {

  private SampledCuts() {}

  /**
   * A distinct request of all samples.
   *
   * @param requests that it stands for
   * @param rows that it stands for
   */
  private record Weighed(PlanRow row, double requests, double rows) {}

  /** The cuts. */
  public static PartitionCuts of(List<Sampled> samples, RowCost cost, int partitions) {
    List<Weighed> requests = merged(samples);
    long[] before = new long[requests.size() + 1];
    for (int i = 0; i < requests.size(); i++) before[i + 1] = before[i] + cost(requests, i, cost);
    long total = before[requests.size()];
    CutSearch search = new CutSearch(total, partitions);
    for (int i = 0; i < requests.size(); i++) {
      PlanRow last = i == 0 ? null : requests.get(i - 1).row();
      search.add(CutPlace.between(last, requests.get(i).row(), before[i], cost));
    }
    return PartitionCuts.of(search.chosen(), total, partitions);
  }

  /** In order. A request of several samples stands for itself by the sample that holds most. */
  private static List<Weighed> merged(List<Sampled> samples) {
    List<Sampled> sorted = new ArrayList<>(samples);
    sorted.sort(Comparator.comparing(Sampled::row, PlanRow.ORDER));
    List<Weighed> merged = new ArrayList<>();
    for (Sampled s : sorted) {
      Weighed own = new Weighed(s.row(), 1 / s.share(), s.count() / s.share());
      int end = merged.size() - 1;
      if (end < 0 || !s.row().repeats(merged.get(end).row())) {
        merged.add(own);
        continue;
      }
      Weighed other = merged.get(end);
      double requests = Math.min(own.requests(), other.requests());
      merged.set(end, new Weighed(s.row(), requests, own.rows() + other.rows()));
    }
    return merged;
  }

  private static long cost(List<Weighed> requests, int i, RowCost cost) {
    PlanRow row = requests.get(i).row();
    long left = i == 0 ? 0 : row.sharedBytes(requests.get(i - 1).row());
    long right = i + 1 == requests.size() ? 0 : row.sharedBytes(requests.get(i + 1).row());
    long shared = Math.max(left, right);
    double own = requests.get(i).requests();
    double repeats = requests.get(i).rows() - own;
    return Math.round(
        own * (cost.ofPrompt(row.bytes() - shared) + cost.ofAnswers(row))
            + cost.ofPrompt(shared - left)
            + repeats * cost.ofRepeat(row));
  }
}
