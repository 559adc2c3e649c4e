package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.NativeLibrary;

/** What one core of this machine can do at most: the yardsticks of the kernel benchmark. */
public enum Peak {
  /** 8-bit operations per second of vpdpbusd, 512 bits. */
  DOT,
  /** Float operations per second of fused multiply-adds. */
  FLOAT,
  /** 8-bit operations per second of AMX tiles with all 64 columns in use. */
  TILE,
  /** Bytes per second read from memory. */
  READ;

  /** Operations or bytes per second of CPU time; 0 where the processor has no such instruction. */
  public double measure() {
    NativeLibrary.load();
    return Native.peak(ordinal());
  }

  /** CPU seconds that the calling thread has used. */
  public static double threadSeconds() {
    NativeLibrary.load();
    return Native.threadSeconds();
  }
}
