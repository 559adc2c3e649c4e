package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * Cosines and sines of the rotary embedding for positions [0, positions): dimensions i and i +
 * rotaryDim/2 of a head turn together by position * frequency[i]. Computed once in double precision
 * with {@link StrictMath}, so that every machine has the same bits.
 *
 * @param cos F32 [positions, rotaryDim / 2]
 * @param sin F32 [positions, rotaryDim / 2]
 */
public record RopeTable(Tensor cos, Tensor sin) implements AutoCloseable {

  /**
   * @param frequencies radians per position, one for each pair of dimensions
   */
  public static RopeTable of(Kernels kernels, double[] frequencies, int positions) {
    int half = frequencies.length;
    Storage storage = kernels.allocate(byteSize(half, positions));
    RopeTable table = over(storage, positions, half);
    if (storage.bytes() != null) {
      table.fill(frequencies);
    } else {
      try (Storage host = kernels.allocateHost(storage.byteSize())) {
        RopeTable filled = over(host, positions, half);
        filled.fill(frequencies);
        kernels.copy(filled.cos, table.cos);
        kernels.copy(filled.sin, table.sin);
      }
    }
    return table;
  }

  private static RopeTable over(Storage storage, int positions, int half) {
    return new RopeTable(
        new Tensor(storage, 0, DType.F32, positions, half, half),
        new Tensor(storage, 4L * positions * half, DType.F32, positions, half, half));
  }

  private void fill(double[] frequencies) {
    for (int p = 0; p < positions(); p++) {
      for (int i = 0; i < frequencies.length; i++) {
        double angle = p * frequencies[i];
        cos.setF32(p, i, (float) StrictMath.cos(angle));
        sin.setF32(p, i, (float) StrictMath.sin(angle));
      }
    }
  }

  /** Bytes of a table. */
  public static long byteSize(int pairs, int positions) {
    return 8L * positions * pairs;
  }

  /** Dimensions of a head that turn. */
  public int rotaryDim() {
    return 2 * cos.columns();
  }

  /** Positions the table covers. */
  public int positions() {
    return cos.rows();
  }

  /** Frees the memory. */
  @Override
  public void close() {
    cos.storage().close();
  }
}
