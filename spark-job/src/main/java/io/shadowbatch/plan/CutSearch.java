package io.shadowbatch.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Chooses where a sequence of rows is cut into partitions of equal cost. A cut lies as near to its
 * multiple of the total as rows allow; but within a {@value #WINDOW}th of a partition's cost around
 * that, where the two rows beside it share least, so that few groups are cut.
 *
 * <p>Holds one place for each cut, whatever the rows. A part of the sequence may be searched on its
 * own: {@link #kept} is all of its places that the whole search needs to see.
 */
public final class CutSearch {

  private static final int WINDOW = 20;

  private final long total;
  private final int partitions;

  /** By number of the cut, from 1. */
  private final CutPlace[] best;

  private CutPlace first;
  private CutPlace last;

  /** A search for the cuts of all rows, whose costs have this sum. */
  public CutSearch(long total, int partitions) {
    if (total < 0 || partitions < 1) {
      throw new IllegalArgumentException(
          "a total of at least 0 and at least 1 partition are needed, got %d and %d"
              .formatted(total, partitions));
    }
    this.total = total;
    this.partitions = partitions;
    this.best = new CutPlace[partitions];
  }

  /** The next place, in order. */
  public void add(CutPlace place) {
    if (first == null) first = place;
    // Between two places lie cuts for which either may be the nearest.
    int above = cutFrom(place.before());
    for (int cut = last == null ? above : cutFrom(last.before()); cut < above; cut++) {
      offer(cut, last);
      offer(cut, place);
    }
    offer(above - 1, place);
    offer(above, place);
    last = place;
  }

  /** The places that may be chosen, whatever comes before and after, in order. */
  public List<CutPlace> kept() {
    List<CutPlace> kept = new ArrayList<>(Arrays.asList(best));
    kept.add(first);
    kept.add(last);
    return kept.stream().filter(Objects::nonNull).sorted(CutPlace::compare).distinct().toList();
  }

  /** The cuts, once all places are added: none if there are none, or one less than partitions. */
  public List<CutPlace> chosen() {
    List<CutPlace> chosen = new ArrayList<>();
    if (first == null) return chosen;
    for (int cut = 1; cut < partitions; cut++) {
      offer(cut, first);
      offer(cut, last);
      CutPlace previous = cut == 1 ? first : chosen.get(cut - 2);
      boolean rises = CutPlace.compare(previous, best[cut]) <= 0;
      chosen.add(rises ? best[cut] : previous);
    }
    return chosen;
  }

  private void offer(int cut, CutPlace place) {
    if (cut < 1 || cut >= partitions) return;
    if (best[cut] == null || isBetter(place, best[cut], ideal(cut))) best[cut] = place;
  }

  private boolean isBetter(CutPlace a, CutPlace b, long ideal) {
    long window = total / partitions / WINDOW;
    long farA = Math.abs(a.before() - ideal);
    long farB = Math.abs(b.before() - ideal);
    boolean near = farA <= window;
    if (near != farB <= window) return near;
    if (near && a.shared() != b.shared()) return a.shared() < b.shared();
    return farA < farB;
  }

  /** Cost before a cut if partitions were equal. */
  private long ideal(int cut) {
    return total / partitions * cut + total % partitions * cut / partitions;
  }

  /** The first cut whose ideal is not below a cost. */
  private int cutFrom(long before) {
    int low = 1;
    int high = partitions;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (ideal(middle) < before) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
