package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Tensors of one backend, filled with given or seeded numbers and freed together. */
final class Arena implements AutoCloseable {
  final Kernels kernels;
  private final List<Storage> storages = new ArrayList<>();

  Arena(Kernels kernels) {
    this.kernels = kernels;
  }

  Storage storage(long bytes) {
    Storage s = kernels.allocate(bytes);
    storages.add(s);
    return s;
  }

  /** Rows of {@code columns} values, with {@code gap} unused elements behind each row. */
  Tensor tensor(int rows, int columns, int gap, float[] values) {
    Storage s = storage(4L * rows * (columns + gap) + 64);
    Tensor t = new Tensor(s, 0, DType.F32, rows, columns, columns + gap);
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) t.setF32(i, j, values[i * columns + j]);
    }
    return t;
  }

  Tensor tensor(int rows, int columns, float[] values) {
    return tensor(rows, columns, 0, values);
  }

  Tensor zeros(int rows, int columns) {
    return tensor(rows, columns, new float[rows * columns]);
  }

  Activations activations(int rows, int columns) {
    return kernels.activations(storage(kernels.activationBytes(rows, columns)), rows, columns);
  }

  /** A packed matrix of the bytes that {@link #packedBytes} made. */
  PackedMatrix packed(int rows, int columns, byte[] bytes) {
    Storage s = storage(bytes.length);
    s.bytes().put(0, bytes);
    return new PackedMatrix(s, 0, PackedMatrix.Form.U8_GROUP32, rows, columns);
  }

  /** Random cells; {@code full} sets every integer to 255, the largest. */
  static byte[] packedBytes(Random random, int rows, int columns, boolean full) {
    int groups = PackedMatrix.groups(columns);
    byte[] bytes =
        new byte[(int) PackedMatrix.byteSize(PackedMatrix.Form.U8_GROUP32, rows, columns)];
    ByteBuffer b = ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.nativeOrder());
    for (int n = 0; n < rows; n++) {
      for (int g = 0; g < groups; g++) {
        int cell = (n / 32 * groups + g) * PackedMatrix.CELL_BYTES;
        for (int k = 0; k < 32 && g * 32 + k < columns; k++) {
          int at = cell + k / 4 * 128 + 4 * (n % 32) + k % 4;
          b.put(at, (byte) (full ? 255 : random.nextInt(256)));
        }
        b.putFloat(cell + 1024 + 4 * (n % 32), (random.nextFloat() - 0.3f) * 0.02f);
        b.putFloat(cell + 1152 + 4 * (n % 32), (float) random.nextGaussian() * 0.5f);
      }
    }
    return bytes;
  }

  /** Bit patterns of the floats of a tensor; every NaN counts as the same. */
  static int[] bits(Tensor t) {
    int[] result = new int[t.rows() * t.columns()];
    for (int i = 0; i < t.rows(); i++) {
      for (int j = 0; j < t.columns(); j++) {
        result[i * t.columns() + j] = Float.floatToIntBits(t.f32(i, j));
      }
    }
    return result;
  }

  /** Integers, then scales and sums as bits. */
  static int[] bits(Activations a) {
    int[] scales = bits(a.scale());
    int[] sums = bits(a.sum());
    int integers = a.q().rows() * a.q().columns();
    int[] result = new int[integers + scales.length + sums.length];
    for (int i = 0; i < a.q().rows(); i++) {
      for (int j = 0; j < a.q().columns(); j++) {
        result[i * a.q().columns() + j] = a.q().storage().bytes().get((int) a.q().at(i, j));
      }
    }
    System.arraycopy(scales, 0, result, integers, scales.length);
    System.arraycopy(sums, 0, result, integers + scales.length, sums.length);
    return result;
  }

  @Override
  public void close() {
    storages.forEach(Storage::close);
    storages.clear();
  }
}
