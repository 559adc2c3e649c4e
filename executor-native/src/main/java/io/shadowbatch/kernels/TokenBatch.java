package io.shadowbatch.kernels;

import java.util.List;

/**
 * The ragged rows of a step: row i computes {@code tokens[i]} at {@code positions[i]} of the
 * sequence of its slice. Only the first {@code size} entries count.
 *
 * @param logitRows rows, ascending, whose logits are wanted
 */
public record TokenBatch(
    int size, int[] tokens, int[] positions, List<Slice> slices, int[] logitRows) {

  public TokenBatch {
    int next = 0;
    for (Slice s : slices) {
      if (s.firstRow() != next || s.rows() <= 0) {
        throw new IllegalArgumentException(
            "token batch: slice starts at row %d with %d rows, expected a start at %d"
                .formatted(s.firstRow(), s.rows(), next));
      }
      next = s.endRow();
    }
    if (next != size || tokens.length < size || positions.length < size) {
      throw new IllegalArgumentException(
          "token batch: slices cover %d rows, size %d, %d tokens, %d positions"
              .formatted(next, size, tokens.length, positions.length));
    }
  }
}
