package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Storage;

/**
 * A weight matrix [rows, columns] in the one packed form of the integer engine, or in float32 for
 * the float form of the reference.
 *
 * <p>{@link Form#U8_GROUP32}: w[n][k] = scale[n][k/32] * q[n][k] + min[n][k/32], q unsigned 8 bit.
 * Panels of 32 rows; in a panel one cell of 1280 bytes for each group of 32 columns:
 *
 * <pre>
 *   byte  q[8 quads][32 rows][4]   q[quad][row][i] is column 4 * quad + i of the group
 *   float scale[32 rows]
 *   float min[32 rows]
 * </pre>
 *
 * Cells of a panel follow each other, then the next panel. Missing rows and columns are zero in all
 * three parts. {@link Form#F32}: row-major floats, no padding.
 *
 * @param byteOffset of the first cell in the storage, a multiple of 64
 */
public record PackedMatrix(Storage storage, long byteOffset, Form form, int rows, int columns) {
  /** Rows of a panel, and columns of a group. */
  public static final int GROUP = 32;

  /** Bytes of one cell: 32 x 32 integers, 32 scales, 32 mins. */
  public static final int CELL_BYTES = GROUP * GROUP + 2 * 4 * GROUP;

  /** How the elements are stored. */
  public enum Form {
    U8_GROUP32,
    /** Row-major, rounded to bfloat16, for backends with products of such numbers. */
    BF16,
    F32
  }

  public PackedMatrix {
    if (rows <= 0 || columns <= 0 || byteOffset % 64 != 0) {
      throw new IllegalArgumentException(
          "packed matrix: bad shape [%d,%d] at byte %d".formatted(rows, columns, byteOffset));
    }
    long needed = byteOffset + byteSize(form, rows, columns);
    if (needed > storage.byteSize()) {
      throw new IllegalArgumentException(
          "packed matrix: [%d,%d] %s at byte %d needs %d bytes, storage has %d"
              .formatted(rows, columns, form, byteOffset, needed, storage.byteSize()));
    }
  }

  /** Bytes that a matrix of this shape takes. */
  public static long byteSize(Form form, int rows, int columns) {
    return switch (form) {
      case U8_GROUP32 -> (long) panels(rows) * groups(columns) * CELL_BYTES;
      case BF16 -> 2L * rows * columns;
      case F32 -> 4L * rows * columns;
    };
  }

  /** Panels of 32 rows that hold {@code rows} rows. */
  public static int panels(int rows) {
    return (rows + GROUP - 1) / GROUP;
  }

  /** Groups of 32 columns that hold {@code columns} columns. */
  public static int groups(int columns) {
    return (columns + GROUP - 1) / GROUP;
  }

  /** Offset in the storage of the cell of (panel, group). */
  public long cell(int panel, int group) {
    return byteOffset + ((long) panel * groups(columns) + group) * CELL_BYTES;
  }

  /** Address of the first byte. */
  public long address() {
    return storage.address() + byteOffset;
  }
}
