package io.shadowbatch.spark;

import io.shadowbatch.request.Completion;
import io.shadowbatch.spark.OutputRows.Asked;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * Rows that can be written without the engine: errors, and copies of answers. They are made one by
 * one as they leave, so that a row's many samples take no memory before.
 */
final class ReadyRows {

  /** Input rows held; beyond it no more are read until some leave. */
  private static final int ROWS_MAX = 256;

  private static final Completion.Timing NO_TIME = new Completion.Timing(0, 0, 0);

  /**
   * One answer: a completion, or the error in its place.
   *
   * @param completion null if the engine never saw the row
   * @param error null if it did
   */
  record Outcome(Asked asked, Completion completion, RowException error) {

    /** The same answer to another row, for which nothing was computed and no time was spent. */
    Outcome copiedTo(Asked other) {
      return new Outcome(
          other.copyOf(asked), completion == null ? null : reused(completion), error);
    }

    private static Completion reused(Completion c) {
      return new Completion(
          c.id(),
          c.promptTokens(),
          c.tokenIds(),
          c.text(),
          c.finishReason(),
          c.stopReason(),
          c.promptTokens(),
          c.kvMode(),
          NO_TIME,
          c.logprobs(),
          c.error());
    }
  }

  /**
   * Answers that are ready for one row.
   *
   * @param copy the row that gets copies of them, or null if they are the row's own
   */
  private record Entry(Asked copy, List<Outcome> outcomes) {}

  private final Deque<Entry> entries = new ArrayDeque<>();
  private int given;

  boolean isEmpty() {
    return entries.isEmpty();
  }

  boolean isFull() {
    return entries.size() >= ROWS_MAX;
  }

  /** Answers of a row; at least one. */
  void add(List<Outcome> outcomes) {
    entries.add(new Entry(null, outcomes));
  }

  /** A row that gets a copy of each answer. */
  void addCopy(Asked copy, List<Outcome> outcomes) {
    entries.add(new Entry(copy, outcomes));
  }

  /** The next answer, or null if there is none. */
  Outcome poll() {
    Entry entry = entries.peek();
    if (entry == null) return null;
    Outcome outcome = entry.outcomes().get(given++);
    if (given == entry.outcomes().size()) {
      entries.remove();
      given = 0;
    }
    return entry.copy() == null ? outcome : outcome.copiedTo(entry.copy());
  }
}
