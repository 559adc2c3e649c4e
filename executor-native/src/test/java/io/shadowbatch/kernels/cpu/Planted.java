package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.NativeLibrary;

/** Bugs that only the library with sanitizers has (src/test/cpp/planted.cpp). */
public final class Planted {
  static {
    NativeLibrary.load();
  }

  private Planted() {}

  /** The byte at an address and an index, whatever is there. */
  public static native int read(long address, int index);

  /** The sum as signed integers of C++, which must not overflow. */
  public static native int sum(int a, int b);
}
