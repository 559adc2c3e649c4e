package io.shadowbatch.schedule;

import java.util.List;

/**
 * What a step computes: for each piece the next {@code tokens} tokens of its sequence.
 *
 * @param pieces decodes first; a sequence appears at most once
 * @param tokens in all
 * @param bound why it computes no more
 */
public record StepPlan(List<Piece> pieces, int tokens, Bound bound) {
  /** What a step ends at. */
  public enum Bound {
    /** It has as many tokens, or sequences, as a step may have. */
    TOKENS,
    /** No more sequence waits. */
    REQUESTS,
    /** The next sequence that waits finds no room. */
    MEMORY,
    /** All that wait do so for pages that this step computes. */
    COMING_PAGES
  }

  /** The next tokens of one sequence. */
  public record Piece(Sequence sequence, int tokens) {
    /** True if the sequence's next token can be chosen after the step. */
    public boolean sampled() {
      return tokens == sequence.remaining();
    }
  }

  public boolean isEmpty() {
    return pieces.isEmpty();
  }
}
