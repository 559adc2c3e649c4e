package io.shadowbatch.plan;

import java.util.Arrays;

/**
 * A place between two rows, in order, where partitions may be cut.
 *
 * @param before cost of all rows before it
 * @param shared cost of what the two rows have in common, which a cut makes computed twice
 * @param signature with the key the least that lies behind: as short as it can be, so that rows
 *     that nobody has seen go with those that begin like them
 */
public record CutPlace(long before, long shared, byte[] signature, String key) {

  private static final byte[] NOTHING = {};

  /**
   * The place in front of a row that does not repeat the row before.
   *
   * @param last row before; null for none
   */
  public static CutPlace between(PlanRow last, PlanRow next, long before, RowCost cost) {
    long shared = cost.ofPrompt(next.sharedBytes(last));
    byte[] signature = next.signature();
    int same = Arrays.mismatch(last == null ? NOTHING : last.signature(), signature);
    return same < 0
        ? new CutPlace(before, shared, signature, next.key())
        : new CutPlace(before, shared, Arrays.copyOf(signature, same + 1), "");
  }

  static int compare(CutPlace a, CutPlace b) {
    return PlanRow.compare(a.signature, a.key, b.signature, b.key);
  }
}
