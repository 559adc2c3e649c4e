package io.shadowbatch.kernels;

/**
 * The rows [firstRow, firstRow + rows) of a token batch, which all belong to one sequence and whose
 * positions rise.
 */
public record Slice(int sequence, int firstRow, int rows) {
  /** One past the last row. */
  public int endRow() {
    return firstRow + rows;
  }
}
