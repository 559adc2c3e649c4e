package io.shadowbatch.plan;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.function.Supplier;

/**
 * A sample of the distinct requests of a stream, with the times that each came: those whose keys
 * have the least hashes. Depends on what the rows ask for only, not on their order.
 */
public final class RowSample {

  private final int requestsMax;
  private final Map<Long, Kept> kept = new HashMap<>();
  private final PriorityQueue<Long> hashes = new PriorityQueue<>(Comparator.reverseOrder());

  /** The least hash that was left out; hashes have 63 bits. */
  private long leftOut = Long.MAX_VALUE;

  /** A sample of at most so many requests. */
  public RowSample(int requestsMax) {
    if (requestsMax < 1) {
      throw new IllegalArgumentException("a sample holds at least 1 request, got " + requestsMax);
    }
    this.requestsMax = requestsMax;
  }

  /**
   * A request of the sample.
   *
   * @param count times that it came
   * @param share of all requests that a sample like this holds; 1 if it holds all
   */
  public record Sampled(PlanRow row, long count, double share) {}

  private static final class Kept {
    private final PlanRow row;
    private long count;

    private Kept(PlanRow row) {
      this.row = row;
    }
  }

  /** One more row; it is only looked at if its request may be in the sample. */
  public void add(String key, Supplier<PlanRow> row) {
    long hash = hash(key);
    if (hash >= leftOut) return;
    Kept known = kept.get(hash);
    if (known == null) {
      known = new Kept(row.get());
      kept.put(hash, known);
      hashes.add(hash);
    }
    known.count++;
    if (kept.size() <= requestsMax) return;
    leftOut = hashes.remove();
    kept.remove(leftOut);
  }

  /** The sample so far. */
  public List<Sampled> rows() {
    double share = leftOut == Long.MAX_VALUE ? 1 : leftOut / 0x1p63;
    return kept.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .map(e -> new Sampled(e.getValue().row, e.getValue().count, share))
        .toList();
  }

  private static long hash(String key) {
    long hash = key.length();
    for (int i = 0; i < key.length(); i++) hash = hash * 0x9e37_79b9_7f4a_7c15L + key.charAt(i);
    return PrefixSignature.mix(hash) >>> 1;
  }
}
