package io.shadowbatch.tensor;

/** The 16-bit float of bfloat16: a float's upper half. */
public final class Bf16 {
  private Bf16() {}

  /** The nearest, of two equally near the one with an even last bit; NaN stays NaN. */
  public static short of(float x) {
    if (Float.isNaN(x)) return 0x7fff;
    int bits = Float.floatToRawIntBits(x);
    return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  public static float toFloat(short x) {
    return Float.intBitsToFloat(x << 16);
  }
}
