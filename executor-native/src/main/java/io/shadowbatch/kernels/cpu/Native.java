package io.shadowbatch.kernels.cpu;

import java.nio.ByteBuffer;

/**
 * The native functions: addresses and dimensions in, nothing checked. {@link
 * io.shadowbatch.kernels.NativeLibrary#load} comes first.
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
   *     of the rotary width, offset of the layer in a half page, bytes of a block, cos, sin, their
   *     stride, slices, 1 if slices walk their pages apart
   * @param firstRows first row of each slice, and the number of rows
   * @param slicePages see {@link io.shadowbatch.kernels.KvView#slicePages}
   */
  static native void append(
      long handle,
      long[] tensors,
      long[] shape,
      float scale,
      int[] positions,
      int[] firstRows,
      long[] keys,
      long[] values,
      int[] slicePages);

  /**
   * @param tensors q, its stride, out, its stride, state or 0, its stride, ids of the picks or 0,
   *     their stride, tokens of a chunk
   */
  static native void attend(
      long handle,
      long[] tensors,
      long[] shape,
      float scale,
      int[] positions,
      int[] firstRows,
      long[] keys,
      long[] values,
      int[] slicePages);

  static native void gram(
      long handle,
      long x,
      long xStride,
      int rows,
      int columns,
      long mean,
      long out,
      long outStride);

  /**
   * @param shape x, its stride, columns, vectors, mean, rank, codec, offset of the layer in a page
   */
  static native void project(long handle, long[] shape, long[] pages, int count);

  /**
   * @param shape codec, KV heads, head width, rotation width, offset of the layer in a half, bytes
   *     of a block, cos, sin, their stride, half of the rotary width
   */
  static native void plainKeys(
      long handle,
      long[] shape,
      int firstPosition,
      long[] pages,
      int count,
      long out,
      long outStride);

  /**
   * @param shape as of {@link #plainKeys}
   * @param factors rank, codec, offset of the layer in a page, tokens of a chunk
   * @param addresses of each chunk: factor page, key half, vectors, mean
   * @param numbers of each chunk: chunk, slot, first position, head or -1
   */
  static native void rebuildKeys(
      long handle, long[] shape, long[] factors, long[] addresses, int[] numbers, int count);

  /**
   * @param shape codec, head width, offset of the layer in a half, bytes of a block, tokens of a
   *     chunk
   * @param addresses of each chunk: key half or 0, value half, key half and value half it goes to
   * @param numbers of each chunk: chunk, slot, head
   */
  static native void fetchChunks(
      long handle, long[] shape, long[] addresses, int[] numbers, int count);

  /**
   * @param shape codec, layers times KV heads, head width, tokens of a chunk, bytes of a block of
   *     keys, bytes of a block of landmarks
   */
  static native void summarise(long handle, long[] keys, long[] landmarks, int pages, long[] shape);

  /**
   * @param tensors q, its stride, ids of the picks, their stride, offset of the layer in a page of
   *     landmarks, bytes of a block of landmarks, tokens of a chunk
   * @param slices see {@link io.shadowbatch.kernels.ChunkView#numbers}
   */
  static native void selectChunks(
      long handle,
      long[] tensors,
      long[] shape,
      float scale,
      int[] positions,
      int[] firstRows,
      long[] landmarks,
      long[] slices);

  /**
   * @param tensors q, its stride, state, its stride, mass, its stride
   */
  static native void attentionMass(
      long handle,
      long[] tensors,
      long[] shape,
      float scale,
      int[] positions,
      int[] firstRows,
      long[] keys,
      long[] values,
      int[] slicePages);

  /** y[i] = exp(x[i]) as the kernels of an instruction set compute it. */
  static native void exp(int isa, long x, long y, long n);

  /** Rate of one core; {@code what} is the ordinal of a {@link Peak}. */
  static native double peak(int what);

  /** CPU seconds of the calling thread. */
  static native double threadSeconds();
}
