package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.NativeLibrary;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Opens the native exponential to tests of other packages. */
public final class NativeExp {
  private NativeExp() {}

  /** exp of every element as the kernels of {@code isa} compute it. */
  public static float[] exp(Isa isa, float[] x) {
    NativeLibrary.load();
    ByteBuffer in = ByteBuffer.allocateDirect(4 * x.length).order(ByteOrder.nativeOrder());
    ByteBuffer out = ByteBuffer.allocateDirect(4 * x.length).order(ByteOrder.nativeOrder());
    in.asFloatBuffer().put(x);
    Native.exp(isa.ordinal(), Native.address(in), Native.address(out), x.length);
    float[] y = new float[x.length];
    out.asFloatBuffer().get(y);
    return y;
  }
}
