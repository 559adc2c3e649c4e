package io.shadowbatch.schedule;

import java.util.List;

/**
 * What a step computes: for each piece the next {@code tokens} tokens of its sequence.
 *
 * @param pieces decodes first; a sequence appears at most once
 * @param tokens in all
 */
public record StepPlan(List<Piece> pieces, int tokens) {
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
