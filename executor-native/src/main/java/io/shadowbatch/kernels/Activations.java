package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * The left operand of a matrix product: rows of activations, quantised in groups of 32 columns.
 *
 * <p>x[m][k] is about scale[m][k/32] * q[m][k]; {@code sum[m][g]} = scale[m][g] * (sum of q over
 * the group), which meets the weights' mins. A value more than 2.25 times as large as all others of
 * its group is a spike: it stays a float, its q is 0, and the group's scale is made for the others
 * (after LLM.int8, Dettmers et al. 2022, element by element). In the float forms {@code q} is F32
 * or BF16 with {@code columns} columns, and the other three are null.
 *
 * @param q I8 [rows, columns rounded up to 32], padding zero
 * @param scale F32 [rows, groups]
 * @param sum F32 [rows, groups]
 * @param columns columns that carry data
 */
public record Activations(Tensor q, Tensor scale, Tensor sum, Spikes spikes, int columns) {

  /**
   * The spikes of each row, by rising column; at most one for each group.
   *
   * @param count I32 [rows, 1]
   * @param column I32 [rows, groups]
   * @param value F32 [rows, groups]
   */
  public record Spikes(Tensor count, Tensor column, Tensor value) {
    Spikes rows(int from, int to) {
      return new Spikes(count.rows(from, to), column.rows(from, to), value.rows(from, to));
    }
  }

  /** Bytes that {@code rows x columns} activations take in the integer form. */
  public static long byteSize(int rows, int columns) {
    long groups = PackedMatrix.groups(columns);
    return align(rows * groups * 32) + 4 * align(rows * groups * 4) + align(rows * 4L);
  }

  /** Lays integer activations over the start of a storage. */
  public static Activations int8(Storage storage, int rows, int columns) {
    int groups = PackedMatrix.groups(columns);
    long at = align((long) rows * groups * 32);
    long part = align((long) rows * groups * 4);
    return new Activations(
        new Tensor(storage, 0, DType.I8, rows, groups * 32, groups * 32),
        new Tensor(storage, at, DType.F32, rows, groups, groups),
        new Tensor(storage, at + part, DType.F32, rows, groups, groups),
        new Spikes(
            new Tensor(storage, at + 4 * part, DType.I32, rows, 1, 1),
            new Tensor(storage, at + 2 * part, DType.I32, rows, groups, groups),
            new Tensor(storage, at + 3 * part, DType.F32, rows, groups, groups)),
        columns);
  }

  /** Lays float activations over the start of a storage. */
  public static Activations f32(Storage storage, int rows, int columns) {
    return new Activations(Tensor.of(storage, DType.F32, rows, columns), null, null, null, columns);
  }

  /** Lays activations rounded to bfloat16 over the start of a storage. */
  public static Activations bf16(Storage storage, int rows, int columns) {
    Tensor q = Tensor.of(storage, DType.BF16, rows, columns);
    return new Activations(q, null, null, null, columns);
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
        ? new Activations(
            q.rows(from, to),
            scale.rows(from, to),
            sum.rows(from, to),
            spikes.rows(from, to),
            columns)
        : new Activations(q.rows(from, to), null, null, null, columns);
  }

  private static long align(long bytes) {
    return (bytes + 63) / 64 * 64;
  }
}
