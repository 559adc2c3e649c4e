package io.shadowbatch.schedule;

import java.util.List;

/**
 * The memory that admission leaves free for what sequences will generate: a share of the predicted
 * tokens, because those that end give back what others take. The share rises when a sequence lost
 * its memory and falls in quiet times.
 */
final class Reservation {
  private static final double FIRST = 0.5;
  private static final double LEAST = 0.1;
  private static final double MOST = 1;
  private static final double RISE = 0.15;
  private static final double FALL = 0.99;
  private static final int QUIET_STEPS = 50;

  private final OutputLengths lengths;
  private final int pageTokens;
  private double share = FIRST;
  private int quiet;

  Reservation(OutputLengths lengths, int pageTokens) {
    this.lengths = lengths;
    this.pageTokens = pageTokens;
  }

  /** Pages for the growth of a sequence, beyond those of the tokens that it has. */
  int pages(Sequence s) {
    int growth = (int) Math.ceil(share * lengths.remaining(s));
    return pagesFor(s.length() + growth) - pagesFor(s.length());
  }

  /** The same for all of them. */
  int pages(List<Sequence> sequences) {
    int pages = 0;
    for (Sequence s : sequences) pages += pages(s);
    return pages;
  }

  private int pagesFor(int tokens) {
    return (tokens + pageTokens - 1) / pageTokens;
  }

  /** A step was planned without taking memory from a sequence. */
  void quietStep() {
    if (++quiet % QUIET_STEPS == 0) share = Math.max(LEAST, share * FALL);
  }

  /** A sequence lost its memory. */
  void preempted() {
    quiet = 0;
    share = Math.min(MOST, share + RISE);
  }
}
