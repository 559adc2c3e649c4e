package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CutSearchTest {

  private static final RowCost COST = RowCost.USUAL;

  /** The rule as it is written, over all places. */
  private static List<CutPlace> oracle(List<CutPlace> places, long total, int partitions) {
    List<CutPlace> cuts = new ArrayList<>();
    long window = total / partitions / 20;
    for (int cut = 1; cut < partitions; cut++) {
      long ideal = total / partitions * cut + total % partitions * cut / partitions;
      CutPlace best = null;
      for (CutPlace p : places) {
        long far = Math.abs(p.before() - ideal);
        if (far > window) continue;
        boolean less = best != null && p.shared() < best.shared();
        boolean nearer =
            best != null && p.shared() == best.shared() && far < Math.abs(best.before() - ideal);
        if (best == null || less || nearer) best = p;
      }
      if (best == null) {
        for (CutPlace p : places) {
          if (best == null || Math.abs(p.before() - ideal) < Math.abs(best.before() - ideal)) {
            best = p;
          }
        }
      }
      cuts.add(best);
    }
    return cuts;
  }

  private static List<CutPlace> chosen(List<CutPlace> places, long total, int partitions) {
    CutSearch search = new CutSearch(total, partitions);
    places.forEach(search::add);
    return search.chosen();
  }

  /** Goal: the streaming search finds what a look at all places finds. */
  @Test
  void findsWhatBruteForceFinds() {
    int aside = 0;
    for (long seed = 0; seed < 400; seed++) {
      Random random = new Random(seed);
      List<PlanRow> rows = PlanRows.random(random, 1 + random.nextInt(300));
      List<CutPlace> places = PlanRows.places(rows, COST);
      long total = PlanRows.cost(rows, COST);
      for (int partitions : new int[] {1, 2, 3, 7, 40}) {
        List<CutPlace> expected = oracle(places, total, partitions);
        assertThat(chosen(places, total, partitions))
            .as("seed %d, %d partitions", seed, partitions)
            .isEqualTo(expected);
        for (int cut = 1; cut < partitions; cut++) {
          long ideal = total / partitions * cut + total % partitions * cut / partitions;
          long far = Math.abs(expected.get(cut - 1).before() - ideal);
          if (places.stream().anyMatch(p -> Math.abs(p.before() - ideal) < far)) aside++;
        }
      }
    }
    assertThat(aside).as("cuts that left the nearest place for one that shares less").isPositive();
  }

  /** Goal: parts searched apart, wherever they begin, give the cuts of the whole. */
  @Test
  void partsGiveTheCutsOfTheWhole() {
    for (long seed = 0; seed < 400; seed++) {
      Random random = new Random(seed);
      List<PlanRow> rows = PlanRows.random(random, 1 + random.nextInt(300));
      List<CutPlace> places = PlanRows.places(rows, COST);
      long total = PlanRows.cost(rows, COST);
      int partitions = 1 + random.nextInt(30);
      CutSearch whole = new CutSearch(total, partitions);
      int at = 0;
      while (at < places.size()) {
        int end = Math.min(places.size(), at + 1 + random.nextInt(60));
        CutSearch part = new CutSearch(total, partitions);
        places.subList(at, end).forEach(part::add);
        part.kept().forEach(whole::add);
        at = end;
      }
      assertThat(whole.chosen()).as("seed %d", seed).isEqualTo(chosen(places, total, partitions));
    }
  }

  /** Goal: a part sends a few places for each cut that lies in it, however many rows it has. */
  @Test
  void aPartKeepsFewPlaces() {
    List<PlanRow> rows = PlanRows.random(new Random(3), 5_000);
    long total = PlanRows.cost(rows, COST);
    CutSearch part = new CutSearch(total, 10);
    PlanRows.places(rows, COST).forEach(part::add);
    assertThat(part.kept()).hasSizeBetween(9, 11).isSortedAccordingTo(CutPlace::compare);
  }

  /** Goal: no rows, rows that cost nothing and one row have cuts too. */
  @Test
  void nothingToCut() {
    assertThat(chosen(List.of(), 0, 5)).isEmpty();
    List<PlanRow> rows = PlanRows.random(new Random(1), 1);
    List<CutPlace> one = PlanRows.places(rows, COST);
    assertThat(chosen(one, PlanRows.cost(rows, COST), 3)).containsOnly(one.get(0)).hasSize(2);
    assertThat(chosen(one, 0, 3)).containsOnly(one.get(0)).hasSize(2);
    assertThatThrownBy(() -> new CutSearch(-1, 3)).hasMessageContaining("got -1 and 3");
    assertThatThrownBy(() -> new CutSearch(1, 0)).hasMessageContaining("got 1 and 0");
  }
}
