package io.shadowbatch.weights;

import java.nio.file.Path;
import java.util.List;

/**
 * Where a tensor lies and what it holds; the elements stay in the file.
 *
 * @param file the one of the model's files that holds it
 * @param shape row-major: the last number is the length of a row
 * @param fileOffset of the first byte
 * @param bytes from the first byte to behind the last
 */
public record TensorInfo(
    String name, Path file, List<Long> shape, QuantType type, long fileOffset, long bytes) {

  public TensorInfo {
    shape = List.copyOf(shape);
  }

  /** Elements of a row. */
  public long columns() {
    return shape.isEmpty() ? 1 : shape.get(shape.size() - 1);
  }

  /** Rows; 1 for a vector. */
  public long rows() {
    long rows = 1;
    for (int i = 0; i + 1 < shape.size(); i++) rows *= shape.get(i);
    return rows;
  }

  /** Bytes of one row. */
  public long rowBytes() {
    return type.rowBytes(columns());
  }
}
