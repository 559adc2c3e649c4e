package io.shadowbatch.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The one struct that a kernel gets, written field by field in the order of its declaration. Fields
 * lie as in C: each aligned to its size, the end to that of the largest.
 */
final class Params {
  /** What CUDA allows a kernel. */
  static final int BYTES_MAX = 4096;

  private final ByteBuffer buffer =
      ByteBuffer.allocateDirect(BYTES_MAX).order(ByteOrder.nativeOrder());
  private final long address = GpuNative.address(buffer);
  private int largest;

  /** Empties it. */
  Params clear() {
    buffer.clear();
    largest = 1;
    return this;
  }

  /** A pointer, or 0. */
  Params address(long value) {
    return i64(value);
  }

  Params i64(long value) {
    align(8);
    buffer.putLong(value);
    return this;
  }

  Params i32(int value) {
    align(4);
    buffer.putInt(value);
    return this;
  }

  Params f32(float value) {
    align(4);
    buffer.putFloat(value);
    return this;
  }

  /** Where the struct lies in host memory. */
  long start() {
    return address;
  }

  /** Bytes of the struct, padding included. */
  int bytes() {
    return aligned(largest);
  }

  private void align(int size) {
    int from = buffer.position();
    int to = aligned(size);
    for (int i = from; i < to; i++) buffer.put(i, (byte) 0);
    buffer.position(to);
    largest = Math.max(largest, size);
  }

  private int aligned(int size) {
    return (buffer.position() + size - 1) / size * size;
  }
}
