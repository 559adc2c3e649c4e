package io.shadowbatch.plan;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which partition a row belongs to. Partitions are contiguous in the order of signature and key,
 * and numbered by falling cost, because Spark starts tasks by number and the longest should start
 * first.
 */
public final class PartitionCuts implements Serializable {

  private static final long serialVersionUID = 1L;

  private final byte[][] signatures;
  private final long[] heads; // of signatures: where ten thousand are searched, all in the cache
  private final String[] keys;
  private final long[] costs;
  private final int[] numbers;

  private PartitionCuts(byte[][] signatures, String[] keys, long[] costs, int[] numbers) {
    this.signatures = signatures;
    this.heads = Arrays.stream(signatures).mapToLong(PartitionCuts::head).toArray();
    this.keys = keys;
    this.costs = costs;
    this.numbers = numbers;
  }

  /**
   * Partitions between cuts.
   *
   * @param cuts rising; less than one for each partition but the first leave the others empty
   * @param total cost of all rows
   */
  public static PartitionCuts of(List<CutPlace> cuts, long total, int partitions) {
    long[] byPlace = new long[partitions];
    for (int i = 0; i <= cuts.size(); i++) {
      CutPlace from = i == 0 ? null : cuts.get(i - 1);
      long end = i == cuts.size() ? total : cuts.get(i).before();
      long own = end - (from == null ? 0 : from.before());
      // What its first row shares with the partition before is computed here again.
      byPlace[i] = own == 0 || from == null ? own : own + from.shared();
    }
    int[] numbers = new int[partitions];
    long[] costs = new long[partitions];
    List<Integer> places =
        IntStream.range(0, partitions)
            .boxed()
            .sorted(Comparator.comparingLong((Integer i) -> -byPlace[i]))
            .toList();
    for (int number = 0; number < partitions; number++) {
      numbers[places.get(number)] = number;
      costs[number] = byPlace[places.get(number)];
    }
    byte[][] signatures = cuts.stream().map(CutPlace::signature).toArray(byte[][]::new);
    String[] keys = cuts.stream().map(CutPlace::key).toArray(String[]::new);
    return new PartitionCuts(signatures, keys, costs, numbers);
  }

  /** Number of a row's partition, from 0. */
  public int partition(byte[] signature, String key) {
    long head = head(signature);
    int low = 0;
    int high = signatures.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      int order = Long.compareUnsigned(heads[middle], head);
      if (order == 0) order = PlanRow.compare(signatures[middle], keys[middle], signature, key);
      if (order <= 0) low = middle + 1;
      else high = middle;
    }
    return numbers[low];
  }

  /** The first bytes as a number: where two differ, so do the signatures, the same way. */
  private static long head(byte[] signature) {
    long head = 0;
    for (int i = 0; i < Long.BYTES; i++) {
      head = head << 8 | (i < signature.length ? signature[i] & 0xff : 0);
    }
    return head;
  }

  /** How many there are. */
  public int partitions() {
    return numbers.length;
  }

  /** Estimated costs by number of the partition, falling. */
  public long[] costs() {
    return costs.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PartitionCuts o
        && Arrays.deepEquals(signatures, o.signatures)
        && Arrays.equals(keys, o.keys)
        && Arrays.equals(costs, o.costs)
        && Arrays.equals(numbers, o.numbers);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.deepHashCode(signatures) + Arrays.hashCode(costs);
  }
}
