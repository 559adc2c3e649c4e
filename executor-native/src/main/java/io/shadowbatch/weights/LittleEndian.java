package io.shadowbatch.weights;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Little-endian numbers in byte arrays: model files have no other order. */
final class LittleEndian {
  private static final VarHandle INT = view(int[].class);
  private static final VarHandle SHORT = view(short[].class);

  private LittleEndian() {}

  private static VarHandle view(Class<?> type) {
    return MethodHandles.byteArrayViewVarHandle(type, ByteOrder.LITTLE_ENDIAN);
  }

  static int i32(byte[] b, int at) {
    return (int) INT.get(b, at);
  }

  static float f32(byte[] b, int at) {
    return Float.intBitsToFloat(i32(b, at));
  }

  static float f16(byte[] b, int at) {
    return ofHalf((short) SHORT.get(b, at));
  }

  static float bf16(byte[] b, int at) {
    return Float.intBitsToFloat((short) SHORT.get(b, at) << 16);
  }

  /** IEEE 754 binary16 to float, exact. */
  static float ofHalf(int half) {
    int sign = (half & 0x8000) << 16;
    int exponent = (half >> 10) & 0x1f;
    int fraction = half & 0x3ff;
    if (exponent == 0) {
      // A subnormal half is fraction * 2^-24, which a float holds as a normal number.
      float value = fraction * 0x1p-24f;
      return sign == 0 ? value : -value;
    }
    int wide = exponent == 31 ? 255 : exponent - 15 + 127;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
  }
}
