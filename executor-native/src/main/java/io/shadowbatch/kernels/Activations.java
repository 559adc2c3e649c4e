package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * The left operand of a matrix product: rows of activations, quantised in groups of 32 columns.
 *
 * <p>x[m][k] is about scale[m][k/32] * q[m][k]; {@code sum[m][g]} = scale[m][g] * (sum of q over
 * the group), which meets the weights' mins. In the float form {@code q} is F32 with {@code
 * columns} columns, and the other two are null.
 *
 * @param q I8 [rows, columns rounded up to 32], padding zero
 * @param scale F32 [rows, groups]
 * @param sum F32 [rows, groups]
 * @param columns columns that carry data
 */
public record Activations(Tensor q, Tensor scale, Tensor sum, int columns) {

  /** Bytes that {@code rows x columns} activations take in the integer form. */
  public static long byteSize(int rows, int columns) {
    long groups = PackedMatrix.groups(columns);
    return align(rows * groups * 32) + 2 * align(rows * groups * 4);
  }

  /** Lays integer activations over the start of a storage. */
  public static Activations int8(Storage storage, int rows, int columns) {
    int groups = PackedMatrix.groups(columns);
    long scales = align((long) rows * groups * 32);
    long sums = scales + align((long) rows * groups * 4);
    return new Activations(
        new Tensor(storage, 0, DType.I8, rows, groups * 32, groups * 32),
        new Tensor(storage, scales, DType.F32, rows, groups, groups),
        new Tensor(storage, sums, DType.F32, rows, groups, groups),
        columns);
  }

  /** Lays float activations over the start of a storage. */
  public static Activations f32(Storage storage, int rows, int columns) {
    return new Activations(Tensor.of(storage, DType.F32, rows, columns), null, null, columns);
  }

  /** True in the integer form. */
  public boolean quantised() {
    return scale != null;
  }

  /** Rows of room. */
  public int rows() {
    return q.rows();
  }

  /** Rows [from, to). */
  public Activations rows(int from, int to) {
    return quantised()
        ? new Activations(q.rows(from, to), scale.rows(from, to), sum.rows(from, to), columns)
        : new Activations(q.rows(from, to), null, null, columns);
  }

  private static long align(long bytes) {
    return (bytes + 63) / 64 * 64;
  }
}
