package io.shadowbatch.kernels.cuda;

import java.nio.ByteBuffer;

/**
 * What JCuda does not do, or does slowly: launches, copies and queries in a call of some 50 ns, and
 * cuBLASLt and NVRTC of whatever release is there. All is found by name when it is asked for, so
 * the library itself needs nothing of CUDA. {@link io.shadowbatch.kernels.NativeLibrary#load} comes
 * first. Numbers returned by what speaks to the driver are its {@code CUresult}.
 */
final class GpuNative {
  private GpuNative() {}

  /** Opens the driver, once: by its name, or the file given. Null, or why not. */
  static native String openDriver(String library);

  /** Makes the context the calling thread's; all that follows needs it. */
  static native int enter(long context);

  /** Enters the context and launches with one struct of parameters. */
  static native int launch(
      long context,
      long function,
      int gridX,
      int gridY,
      int gridZ,
      int threads,
      int sharedBytes,
      long stream,
      long params,
      long paramBytes);

  /** Enters the context and copies between any two addresses that the driver knows. */
  static native int copy(long context, long to, long from, long bytes, long stream);

  /** Enters the context and asks whether the stream is done. */
  static native int query(long context, long stream);

  /** Bytes of a kernel's parameters, or -1 where the driver cannot tell (before 12.4). */
  static native long parameterBytes(long function);

  static native long address(ByteBuffer direct);

  static native ByteBuffer view(long address, long bytes);

  /** Opens NVRTC: one of the names, the first that is there. Null, or why not. */
  static native String openCompiler(String[] libraries);

  /** Release of the compiler, 1000 * major + 10 * minor. */
  static native int compilerVersion();

  /**
   * Source text to cubin.
   *
   * @param headers text of headers, and as many names behind them
   * @param log gets the compiler's words
   * @return null if it failed
   */
  static native byte[] compile(
      String name, String source, String[] headers, String[] options, String[] log);

  /** Opens cuBLASLt; 0 with why not in {@code error[0]}. */
  static native long openBlas(String[] libraries, String[] error);

  /** File that was opened, and the library's version. */
  static native String describeBlas(long blas);

  static native void closeBlas(long blas);

  /**
   * A product D[m,n] = op(A)[m,k] op(B)[k,n], column-major.
   *
   * @param shape typeA, typeB, typeD, transposeA, transposeB, m, n, k, strides of A, B and D,
   *     epilogue, bytes of workspace, candidates wanted; types as in cudaDataType
   * @param found gets the number of candidates
   * @return a plan, or 0 with why not in {@code error[0]}
   */
  static native long plan(long blas, long[] shape, int[] found, String[] error);

  /** Uses the candidate from now on. */
  static native void pick(long plan, int candidate);

  /**
   * Enters the context and queues D = alpha op(A) op(B) + beta D (+ bias).
   *
   * @param addresses A, B, D, bias or 0, workspace, its bytes
   * @return a cublasStatus
   */
  static native int multiply(
      long context, long plan, long[] addresses, float alpha, float beta, long stream);

  static native void closePlan(long plan);
}
