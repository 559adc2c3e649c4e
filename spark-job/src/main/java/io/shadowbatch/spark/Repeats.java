package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.OutputRows.Asked;
import io.shadowbatch.spark.PreparedRows.Prepared;
import io.shadowbatch.spark.ReadyRows.Outcome;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Equal requests of a partition. Rows come sorted, so that equal ones stand next to each other: the
 * first of them, the original, is computed, the others get copies of its answers. A copy that comes
 * while its original runs waits without its prompt; other rows go on meanwhile, until too many
 * wait.
 */
final class Repeats {

  /** As many rows as the planner holds: they may carry columns of any size. */
  static final int WAITING_MAX = 1024;

  private final Dedup dedup;
  private final ReadyRows ready;
  private Original last;
  private int waiting;

  Repeats(Dedup dedup, ReadyRows ready) {
    this.dedup = dedup;
    this.ready = ready;
  }

  /** A row that is computed, with its answers as long as another row may want a copy. */
  static final class Original {
    private final List<Asked> copies = new ArrayList<>();
    private final int samples;
    private Prepared prepared;
    private List<Outcome> outcomes = new ArrayList<>();

    private Original(Prepared prepared, int samples) {
      this.prepared = prepared;
      this.samples = samples;
    }

    private boolean isDone() {
      return outcomes.size() == samples;
    }

    /** No more copies will come: answers that nobody waits for need not be kept here. */
    private void close() {
      prepared = null;
      if (copies.isEmpty()) outcomes = null;
    }

    private boolean isWanted() {
      return prepared != null || !copies.isEmpty();
    }
  }

  /**
   * Whether two rows without an error ask for the same, so that one answer is bit for bit the
   * other's: same prompt, parameters and model. The key is compared as well because seeds are made
   * of it: what would seed two rows differently must give them different keys.
   */
  static boolean same(Prepared a, Prepared b) {
    return a.key().equals(b.key())
        && a.params().equals(b.params())
        && a.samples() == b.samples()
        && Arrays.equals(a.prompt(), b.prompt());
  }

  /** True if no row should be read before some that wait have left. */
  boolean isFull() {
    return waiting >= WAITING_MAX;
  }

  /** Whether the row is a copy, which is then seen to; if not, it must be computed. */
  boolean take(Asked row) {
    if (last == null || !same(last.prepared, row.prepared())) return false;
    Asked copy = row.withoutPrompt();
    if (last.isDone()) {
      ready.addCopy(copy, last.outcomes);
    } else {
      last.copies.add(copy);
      waiting++;
    }
    return true;
  }

  /** Begins a row that is no copy; rows that come next may be copies of it. */
  Original begin(Prepared prepared) {
    if (last != null) last.close();
    last = null;
    if (dedup == Dedup.OFF) return new Original(null, prepared.samples());
    last = new Original(prepared, prepared.samples());
    return last;
  }

  /** One more answer of an original is known; after the last of them its copies are ready. */
  void finished(Original original, Outcome outcome) {
    if (!original.isWanted()) return;
    original.outcomes.add(outcome);
    if (!original.isDone()) return;
    for (Asked copy : original.copies) ready.addCopy(copy, original.outcomes);
    waiting -= original.copies.size();
    original.copies.clear();
  }
}
