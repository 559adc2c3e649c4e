package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.kernels.ReferenceMath;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;

/** The same numbers in memory of the reference and of a device that the host cannot read. */
final class Twins implements AutoCloseable {
  /** A tensor, twice. */
  record Twin(Tensor reference, Tensor device) {
    static Tensor[] references(Twin[] twins) {
      return Arrays.stream(twins).map(Twin::reference).toArray(Tensor[]::new);
    }

    static Tensor[] devices(Twin[] twins) {
      return Arrays.stream(twins).map(Twin::device).toArray(Tensor[]::new);
    }
  }

  final Kernels reference = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
  final Gpu gpu = StandIn.open();
  private final Random random;

  Twins(long seed) {
    random = new Random(seed);
  }

  /** Rows of {@code columns} elements with a gap behind each, filled from bytes without gaps. */
  Twin of(DType type, int rows, int columns, int gap, byte[] content) {
    int stride = columns + gap;
    long bytes = (long) type.bytes() * rows * stride;
    Storage one = reference.allocate(bytes);
    for (int row = 0; row < rows; row++) {
      int size = type.bytes() * columns;
      one.bytes().put(row * type.bytes() * stride, content, row * size, size);
    }
    Storage two = gpu.allocate(bytes);
    try (Storage host = gpu.allocateHost(bytes)) {
      host.bytes().put(0, one.bytes(), 0, (int) bytes);
      gpu.copy(host.address(), two.address(), bytes);
      gpu.sync();
    }
    return new Twin(
        new Tensor(one, 0, type, rows, columns, stride),
        new Tensor(two, 0, type, rows, columns, stride));
  }

  Twin floats(int rows, int columns, int gap, float spread) {
    ByteBuffer bytes = buffer(4 * rows * columns);
    while (bytes.hasRemaining()) bytes.putFloat(spread * (float) random.nextGaussian());
    return of(DType.F32, rows, columns, gap, bytes.array());
  }

  Twin ints(int rows, int columns, int[] values) {
    ByteBuffer bytes = buffer(4 * rows * columns);
    for (int v : values) bytes.putInt(v);
    return of(DType.I32, rows, columns, 0, bytes.array());
  }

  Twin halves(int rows, int columns, float spread) {
    return of(DType.F16, rows, columns, 0, halfBytes(rows * columns, spread));
  }

  /** Pages of bytes that are halves wherever halves are read. */
  Twin[] pages(int count, long bytes, float spread) {
    return IntStream.range(0, count)
        .mapToObj(i -> of(DType.U8, 1, (int) bytes, 0, halfBytes((int) bytes / 2, spread)))
        .toArray(Twin[]::new);
  }

  Twin[] emptyPages(int count, long bytes) {
    return IntStream.range(0, count)
        .mapToObj(i -> of(DType.U8, 1, (int) bytes, 0, new byte[(int) bytes]))
        .toArray(Twin[]::new);
  }

  private byte[] halfBytes(int count, float spread) {
    ByteBuffer bytes = buffer(2 * count);
    while (bytes.hasRemaining()) {
      bytes.putShort(ReferenceMath.toHalf(spread * (float) random.nextGaussian()));
    }
    return bytes.array();
  }

  /** Tables of angles for both. */
  record Ropes(RopeTable reference, RopeTable device) {}

  Ropes ropes(KvLayout layout, int positions) {
    int half = layout.headDim() / 32 * 16;
    double[] frequencies =
        IntStream.range(0, half).mapToDouble(i -> Math.pow(1e4, -1.0 * i / half)).toArray();
    RopeTable one = RopeTable.of(reference, frequencies, positions);
    return new Ropes(one, new RopeTable(copy(one.cos()), copy(one.sin())));
  }

  private Tensor copy(Tensor t) {
    return of(t.dtype(), t.rows(), t.columns(), 0, bytes(t)).device();
  }

  /** The elements of a tensor, wherever it lies. */
  byte[] bytes(Tensor t) {
    Tensor seen = t;
    long all = t.storage().byteSize();
    Storage host = null;
    if (t.storage().bytes() == null) {
      host = gpu.allocateHost(all);
      gpu.copy(t.storage().address(), host.address(), all);
      gpu.sync();
      seen = new Tensor(host, t.byteOffset(), t.dtype(), t.rows(), t.columns(), t.rowStride());
    }
    int size = t.dtype().bytes() * t.columns();
    byte[] result = new byte[t.rows() * size];
    for (int row = 0; row < t.rows(); row++) {
      seen.storage().bytes().get((int) seen.at(row, 0), result, row * size, size);
    }
    if (host != null) host.close();
    return result;
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
  }

  @Override
  public void close() {
    gpu.close();
    reference.close();
  }
}
