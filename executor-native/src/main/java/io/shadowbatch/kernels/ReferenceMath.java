package io.shadowbatch.kernels;

/**
 * The scalar functions of the numeric form. Every backend computes exactly these operations in
 * exactly this order; lanes are 16 wide, and a fused multiply-add is fused.
 */
public final class ReferenceMath {
  /** A value that many times as large as all others of its group stays a float. */
  static final float SPIKE = 2.25f;

  private ReferenceMath() {}

  /**
   * exp(x) for x clamped to [-87, 87]: 2^n * polynomial(r), |r| <= ln(2)/2. Degree 5, the minimax
   * one of those with 1 + r in front, so that exp(0) is 1.
   */
  public static float exp(float x) {
    x = Math.min(Math.max(x, -87f), 87f);
    float n = (float) Math.rint(x * 1.44269504f);
    float r = Math.fma(n, -0.693147182f, x);
    r = Math.fma(n, 1.90465421e-9f, r);
    float p = 8.3125206e-3f;
    p = Math.fma(p, r, 4.1890156e-2f);
    p = Math.fma(p, r, 0.16667114f);
    p = Math.fma(p, r, 0.49999231f);
    p = Math.fma(p, r, 1f);
    p = Math.fma(p, r, 1f);
    return p * Float.intBitsToFloat(((int) n + 127) << 23);
  }

  /** x * sigmoid(x). */
  static float silu(float x) {
    return x / (1f + exp(-x));
  }

  /**
   * log(x) for normal x > 0, NaN for all else, in double arithmetic without fused operations: x =
   * 2^n * m, m in [0.75, 1.5), log m = 2 artanh(s) with s = (m - 1) / (m + 1), |s| <= 0.2.
   */
  static float log(float x) {
    if (!(x >= Float.MIN_NORMAL && x <= Float.MAX_VALUE)) return Float.NaN;
    int bits = Float.floatToRawIntBits(x);
    int n = (bits - 0x3f400000) >> 23;
    double m = Float.intBitsToFloat(bits - (n << 23));
    double s = (m - 1) / (m + 1);
    double s2 = s * s;
    double p = 0;
    for (int k = 17; k > 0; k -= 2) p = p * s2 + 1.0 / k;
    return (float) (n * 0.6931471805599453 + 2 * s * p);
  }

  /** Sum of 16 lanes: distance 8, 4, 2, 1. */
  static float sum16(float[] lanes) {
    return sumTree(lanes);
  }

  /** Sum of 2^k numbers: distance 2^(k-1), .., 2, 1. Overwrites them. */
  static float sumTree(float[] x) {
    for (int d = x.length / 2; d > 0; d /= 2) {
      for (int i = 0; i < d; i++) x[i] += x[i + d];
    }
    return x[0];
  }

  /** Sum of squares of x[from, from + n), n a multiple of 16. */
  static float sumOfSquares(float[] x, int from, int n) {
    float[] lanes = new float[16];
    for (int i = 0; i < n; i++) lanes[i % 16] = Math.fma(x[from + i], x[from + i], lanes[i % 16]);
    return sum16(lanes);
  }

  /** 1 / sqrt(sum / n + eps). */
  static float inverseRms(float sumOfSquares, int n, float eps) {
    return 1f / (float) Math.sqrt(sumOfSquares / n + eps);
  }

  /** Largest magnitude of x[from, from + n), at least 1e-30, which keeps its inverse finite. */
  static float largest(float[] x, int from, int n) {
    float top = 1e-30f;
    for (int i = 0; i < n; i++) top = Math.max(top, Math.abs(x[from + i]));
    return top;
  }

  /**
   * Index of the value of x[from, from + n) whose magnitude is more than {@value #SPIKE} times that
   * of all others, or -1.
   */
  static int spike(float[] x, int from, int n) {
    float top = largest(x, from, n);
    int at = from;
    while (at < from + n && Math.abs(x[at]) != top) at++;
    if (at == from + n) return -1;
    float others = Math.max(largest(x, from, at - from), largest(x, at + 1, from + n - at - 1));
    return top > SPIKE * others ? at : -1;
  }

  /** Nearest integer, ties to even. */
  static int round(float x) {
    return (int) Math.rint(x);
  }

  /** Turns pairs (i, i + half) of a head by the angle of a position; cos and sin hold half. */
  static void rope(float[] x, int from, float[] cos, float[] sin) {
    int half = cos.length;
    for (int i = 0; i < half; i++) {
      float a = x[from + i];
      float b = x[from + half + i];
      x[from + i] = Math.fma(a, cos[i], -(b * sin[i]));
      x[from + half + i] = Math.fma(b, cos[i], a * sin[i]);
    }
  }

  /** Orthonormal Walsh-Hadamard transform of each run of {@code width} of x[from, from + n). */
  static void rotate(float[] x, int from, int n, int width) {
    float norm = (float) (1 / Math.sqrt(width));
    for (int base = from; base < from + n; base += width) {
      for (int h = 1; h < width; h *= 2) {
        for (int i = base; i < base + width; i += 2 * h) {
          for (int j = i; j < i + h; j++) {
            float a = x[j];
            float b = x[j + h];
            x[j] = a + b;
            x[j + h] = a - b;
          }
        }
      }
      for (int i = base; i < base + width; i++) x[i] *= norm;
    }
  }

  /** Nearest IEEE half, ties to even; overflow is infinity. */
  public static short toHalf(float x) {
    int bits = Float.floatToRawIntBits(x);
    int sign = bits >>> 16 & 0x8000;
    int magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) return (short) (sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00));
    if (magnitude >= 0x477ff000) return (short) (sign | 0x7c00);
    if (magnitude < 0x38800000) {
      // Subnormal half: the unit is 2^-24, and adding 0.5 makes the float adder round to it.
      float y = Float.intBitsToFloat(magnitude) + 0.5f;
      return (short) (sign | (Float.floatToRawIntBits(y) - 0x3f000000));
    }
    int rounded = magnitude - 0x38000000 + 0xfff + (magnitude >>> 13 & 1);
    return (short) (sign | rounded >>> 13);
  }

  /** Value of an IEEE half. */
  public static float fromHalf(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = half >>> 10 & 0x1f;
    int fraction = half & 0x3ff;
    if (exponent == 0) {
      float tiny = fraction * 0x1p-24f;
      return sign == 0 ? tiny : -tiny;
    }
    if (exponent == 31) return Float.intBitsToFloat(sign | 0x7f800000 | fraction << 13);
    return Float.intBitsToFloat(sign | (exponent + 112) << 23 | fraction << 13);
  }
}
