package io.shadowbatch.bench;

import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceMath;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Memory of a device filled with seeded random numbers, and the times of what is queued there.
 * Zeros would not do: a device computes them in less power, and so faster.
 */
final class DeviceRig implements AutoCloseable {
  private static final int PATTERN_BYTES = 1 << 20;
  private static final double ROUND_SECONDS = 0.1;
  private static final int ROUNDS = 5;

  private final Kernels kernels;
  private final int callsMost;
  private final Random random = new Random(1);
  private final Storage pattern;
  private final List<Storage> storages = new ArrayList<>();
  private double copyRate = Double.NaN;

  /**
   * @param callsMost most calls that are queued together
   */
  DeviceRig(Kernels kernels, int callsMost) {
    this.kernels = kernels;
    this.callsMost = callsMost;
    this.pattern = kernels.allocateHost(PATTERN_BYTES);
  }

  Storage allocate(long bytes) {
    Storage s = kernels.allocate(bytes);
    storages.add(s);
    return s;
  }

  Storage allocateHost(long bytes) {
    Storage s = kernels.allocateHost(bytes);
    storages.add(s);
    return s;
  }

  /** Standard normal floats [rows, columns]. */
  Tensor floats(int rows, int columns) {
    ByteBuffer bytes = pattern.bytes();
    for (int i = 0; i < PATTERN_BYTES; i += 4) bytes.putFloat(i, (float) random.nextGaussian());
    Tensor t = Tensor.of(allocate(4L * rows * columns), DType.F32, rows, columns);
    fill(t.storage());
    return t;
  }

  /** Weights in the form that the backend multiplies; in the 16-bit one they are random. */
  PackedMatrix weights(int rows, int columns) {
    PackedMatrix.Form form = kernels.weightForm();
    Storage s = allocate(PackedMatrix.byteSize(form, rows, columns));
    ByteBuffer bytes = pattern.bytes();
    for (int i = 0; i < PATTERN_BYTES; i += 2) {
      float x = (float) random.nextGaussian() * 0.02f;
      bytes.putShort(i, (short) (Float.floatToRawIntBits(x) >>> 16));
    }
    if (form == PackedMatrix.Form.BF16) fill(s);
    return new PackedMatrix(s, 0, form, rows, columns);
  }

  /** Pages' halves of random half floats, on the device or in memory of the host. */
  Tensor[] pages(int count, KvLayout layout, java.util.function.LongFunction<Storage> source) {
    ByteBuffer bytes = pattern.bytes();
    for (int i = 0; i < PATTERN_BYTES; i += 2) {
      bytes.putShort(i, ReferenceMath.toHalf((float) random.nextGaussian()));
    }
    int half = Math.toIntExact(layout.halfBytes());
    Tensor[] pages = new Tensor[count];
    if (count == 0) return pages;
    Storage all = source.apply((long) count * half);
    fill(all);
    for (int i = 0; i < count; i++) {
      pages[i] = new Tensor(all, (long) i * half, DType.U8, 1, half, half);
    }
    return pages;
  }

  private void fill(Storage storage) {
    for (long at = 0; at < storage.byteSize(); at += PATTERN_BYTES) {
      int bytes = (int) Math.min(PATTERN_BYTES, storage.byteSize() - at);
      Tensor from = new Tensor(pattern, 0, DType.U8, 1, bytes, bytes);
      kernels.copy(from, new Tensor(storage, at, DType.U8, 1, bytes, bytes));
    }
    kernels.finish(); // the pattern is written anew next
  }

  /** Copies a table from the host. */
  Tensor ints(int rows, int columns, java.util.function.IntBinaryOperator value) {
    Tensor device = Tensor.of(allocate(4L * rows * columns), DType.I32, rows, columns);
    Tensor host = Tensor.of(allocateHost(4L * rows * columns), DType.I32, rows, columns);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) host.setI32(r, c, value.applyAsInt(r, c));
    }
    kernels.copy(host, device);
    return device;
  }

  /** Seconds of a call among many that are queued together: the least of some rounds. */
  double seconds(Runnable call) {
    kernels.finish();
    long t0 = System.nanoTime();
    call.run();
    kernels.finish();
    double once = Math.max(1e-7, (System.nanoTime() - t0) / 1e9);
    int calls = (int) Math.max(1, Math.min(callsMost, ROUND_SECONDS / once));
    double least = Double.MAX_VALUE;
    for (int round = 0; round < ROUNDS; round++) {
      long begin = System.nanoTime();
      for (int i = 0; i < calls; i++) call.run();
      kernels.finish();
      least = Math.min(least, (System.nanoTime() - begin) / 1e9 / calls);
    }
    return least;
  }

  /** Bytes a second that a large copy reads and writes; measured at the first call. */
  double copyRate(long bytes) {
    if (!Double.isNaN(copyRate)) return copyRate;
    int columns = Math.toIntExact(bytes);
    Tensor a = new Tensor(allocate(bytes), 0, DType.U8, 1, columns, columns);
    Tensor b = new Tensor(allocate(bytes), 0, DType.U8, 1, columns, columns);
    fill(a.storage());
    copyRate = 2.0 * bytes / seconds(() -> kernels.copy(a, b));
    return copyRate;
  }

  /** A JSON line: what an operation took, and its share of the limit that its bytes set. */
  void report(String name, double seconds, double bytes, double flops) {
    System.out.printf(
        Locale.ROOT,
        "{\"name\": \"%s\", \"microseconds\": %.2f, \"gigabytes_per_second\": %.1f,"
            + " \"of_copy_rate\": %.3f, \"teraflops\": %.3f}%n",
        name,
        seconds * 1e6,
        bytes / seconds / 1e9,
        bytes / seconds / copyRate,
        flops / seconds / 1e12);
  }

  /** First row of a tensor as the host reads it, to see that numbers came out. */
  float first(Tensor t) {
    try (HostCopy host = new HostCopy(kernels)) {
      return host.of(t.rows(0, 1)).f32(0, 0);
    }
  }

  void free() {
    kernels.finish();
    storages.forEach(Storage::close);
    storages.clear();
  }

  @Override
  public void close() {
    free();
    pattern.close();
  }
}
