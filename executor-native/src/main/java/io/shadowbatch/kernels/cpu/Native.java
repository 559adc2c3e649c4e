package io.shadowbatch.kernels.cpu;

import java.nio.ByteBuffer;

/**
 * The native functions: addresses and dimensions in, nothing checked. {@link NativeLibrary#load}
 * comes first.
 *
 * <p>Strides are in elements. Activations are {@code {q, scale, sum, qStride, groupStride}}.
 */
final class Native {
  private Native() {}

  /** Bit i: the instruction set with ordinal i. */
  static native int supported();

  static native long open(int isa, int threads);

  static native void close(long handle);

  static native long allocate(long bytes);

  static native void release(long address, long bytes);

  static native ByteBuffer view(long address, long bytes);

  static native long address(ByteBuffer buffer);

  static native void embed(
      long handle, long table, int columns, int[] ids, int count, long out, long outStride);

  static native void gatherRows(
      long handle,
      long x,
      long xStride,
      int[] rows,
      int count,
      int columns,
      long out,
      long outStride);

  static native void quantize(
      long handle, long x, long xStride, int rows, int columns, long[] activations);

  static native void swiGlu(
      long handle, long x, long xStride, int rows, int columns, long[] activations);

  static native void rmsNorm(
      long handle,
      long x,
      long xStride,
      int rows,
      int columns,
      long weight,
      float eps,
      long[] activations);

  static native void headNorm(
      long handle,
      long x,
      long xStride,
      int rows,
      int columns,
      long weight,
      float eps,
      int headDim);

  static native void argmax(long handle, long x, long xStride, int rows, int columns, int[] ids);

  /**
   * @param store 0: set, 1: add to what is there
   */
  static native void matmul(
      long handle,
      long[] activations,
      long w,
      long bias,
      long out,
      long outStride,
      int rows,
      int columns,
      int groups,
      int store);

  /**
   * @param tensors k, its stride, v, its stride
   * @param shape codec, KV heads, query heads per KV head, head width, rotation width, window, half
   *     of the rotary width, offset of the layer in a page, bytes of a block, cos, sin, their
   *     stride, slices, 1 if slices walk their pages apart
   * @param firstRows first row of each slice, and the number of rows
   */
  static native void append(
      long handle,
      long[] tensors,
      long[] shape,
      float scale,
      int[] positions,
      int[] firstRows,
      long[] pages,
      int[] firstPages);

  /**
   * @param tensors q, its stride, out, its stride, state or 0, its stride
   */
  static native void attend(
      long handle,
      long[] tensors,
      long[] shape,
      float scale,
      int[] positions,
      int[] firstRows,
      long[] pages,
      int[] firstPages);

  /** y[i] = exp(x[i]) as the kernels of an instruction set compute it. */
  static native void exp(int isa, long x, long y, long n);

  /** Rate of one core; {@code what} is the ordinal of a {@link Peak}. */
  static native double peak(int what);

  /** CPU seconds of the calling thread. */
  static native double threadSeconds();
}
