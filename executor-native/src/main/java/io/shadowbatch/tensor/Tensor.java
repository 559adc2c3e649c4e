package io.shadowbatch.tensor;

/**
 * A view of {@code rows x columns} elements of a storage; row {@code i} starts {@code i *
 * rowStride} elements after the offset. Owns nothing.
 *
 * @param byteOffset of element [0,0] in the storage
 * @param rowStride elements between the starts of two rows, at least {@code columns}
 */
public record Tensor(
    Storage storage, long byteOffset, DType dtype, int rows, int columns, int rowStride) {

  public Tensor {
    if (rows < 0 || columns < 0 || rowStride < columns || byteOffset < 0) {
      throw new IllegalArgumentException(
          "tensor: bad shape [%d,%d] stride %d offset %d"
              .formatted(rows, columns, rowStride, byteOffset));
    }
    long end =
        rows == 0 ? byteOffset : byteOffset + dtype.bytes() * ((rows - 1L) * rowStride + columns);
    if (end > storage.byteSize()) {
      throw new IllegalArgumentException(
          "tensor: [%d,%d] %s stride %d at byte %d needs %d bytes, storage has %d"
              .formatted(rows, columns, dtype, rowStride, byteOffset, end, storage.byteSize()));
    }
  }

  /** A contiguous tensor at the start of a storage. */
  public static Tensor of(Storage storage, DType dtype, int rows, int columns) {
    return new Tensor(storage, 0, dtype, rows, columns, columns);
  }

  /** Rows [from, to). */
  public Tensor rows(int from, int to) {
    checkRange("rows", from, to, rows);
    long offset = byteOffset + (long) from * rowStride * dtype.bytes();
    return new Tensor(storage, offset, dtype, to - from, columns, rowStride);
  }

  /** Columns [from, to) of every row. */
  public Tensor columns(int from, int to) {
    checkRange("columns", from, to, columns);
    long offset = byteOffset + (long) from * dtype.bytes();
    return new Tensor(storage, offset, dtype, rows, to - from, rowStride);
  }

  /** Address of element [0,0]; meaningless where the storage has no address. */
  public long address() {
    return storage.address() + byteOffset;
  }

  /** Byte offset of element [row, column] in the storage. */
  public long at(int row, int column) {
    return byteOffset + ((long) row * rowStride + column) * dtype.bytes();
  }

  /** Element [row, column] of an F32 tensor in host memory. */
  public float f32(int row, int column) {
    return storage.bytes().getFloat((int) at(row, column));
  }

  /** Sets element [row, column] of an F32 tensor in host memory. */
  public void setF32(int row, int column, float value) {
    storage.bytes().putFloat((int) at(row, column), value);
  }

  /** Element [row, column] of an I32 tensor in host memory. */
  public int i32(int row, int column) {
    return storage.bytes().getInt((int) at(row, column));
  }

  /** Sets element [row, column] of an I32 tensor in host memory. */
  public void setI32(int row, int column, int value) {
    storage.bytes().putInt((int) at(row, column), value);
  }

  /** Copies row {@code row} of an F32 tensor in host memory to {@code out[0..columns)}. */
  public void readRow(int row, float[] out) {
    storage
        .bytes()
        .slice((int) at(row, 0), 4 * columns)
        .order(storage.bytes().order())
        .asFloatBuffer()
        .get(out, 0, columns);
  }

  /** Fills row {@code row} of an F32 tensor in host memory from {@code in[0..columns)}. */
  public void writeRow(int row, float[] in) {
    storage
        .bytes()
        .slice((int) at(row, 0), 4 * columns)
        .order(storage.bytes().order())
        .asFloatBuffer()
        .put(in, 0, columns);
  }

  private static void checkRange(String what, int from, int to, int size) {
    if (from < 0 || to < from || to > size) {
      throw new IllegalArgumentException(
          "tensor: %s [%d,%d) of %d".formatted(what, from, to, size));
    }
  }
}
