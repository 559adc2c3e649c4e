package io.shadowbatch.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Quantises and dequantises element by element, for tests: written from the formulas of the
 * formats, sharing nothing with the code under test. The quantisers are simple, not good.
 */
public final class BlockCodec {
  private BlockCodec() {}

  /** Encodes whole rows of blocks. */
  public static byte[] quantise(QuantType type, float[] x) {
    int block = type.blockElements();
    ByteBuffer out = ByteBuffer.allocate(x.length / block * type.blockBytes());
    out.order(ByteOrder.LITTLE_ENDIAN);
    for (int at = 0; at < x.length; at += block) {
      switch (type) {
        case F32 -> out.putFloat(x[at]);
        case F16 -> out.putShort(half(x[at]));
        case BF16 -> out.putShort((short) (Float.floatToIntBits(x[at]) >>> 16));
        case Q8_0 -> signed(x, at, out);
        case Q4_0, Q4_1, Q5_0, Q5_1 -> smallBlock(type, x, at, out);
        case Q4_K, Q5_K -> superBlock(type, x, at, out);
        case Q6_K -> sixBitBlock(x, at, out);
        default -> throw new IllegalArgumentException("no quantiser for " + type);
      }
    }
    return out.array();
  }

  private static void signed(float[] x, int at, ByteBuffer out) {
    float top = 0;
    for (int i = 0; i < 32; i++) top = Math.max(top, Math.abs(x[at + i]));
    out.putShort(half(top / 127));
    for (int i = 0; i < 32; i++) out.put((byte) (top == 0 ? 0 : Math.round(x[at + i] / top * 127)));
  }

  private static void smallBlock(QuantType type, float[] x, int at, ByteBuffer out) {
    boolean five = type == QuantType.Q5_0 || type == QuantType.Q5_1;
    boolean hasMin = type == QuantType.Q4_1 || type == QuantType.Q5_1;
    int levels = five ? 31 : 15;
    float low = Float.MAX_VALUE;
    float high = -Float.MAX_VALUE;
    for (int i = 0; i < 32; i++) {
      low = Math.min(low, x[at + i]);
      high = Math.max(high, x[at + i]);
    }
    float top = Math.max(Math.abs(low), Math.abs(high));
    // Real files have negative scales in Q4_0 and Q5_0 about half of the time.
    float d = hasMin ? (high - low) / levels : (at / 32 % 2 == 0 ? -2 : 2) * top / levels;
    float m = hasMin ? low : -(levels + 1) / 2 * d;
    out.putShort(half(d));
    if (hasMin) out.putShort(half(low));
    int[] q = new int[32];
    int fifth = 0;
    for (int i = 0; i < 32; i++) {
      q[i] = level(x[at + i] - m, d, levels);
      fifth |= (q[i] >> 4) << i;
    }
    if (five) out.putInt(fifth);
    for (int i = 0; i < 16; i++) out.put((byte) (q[i] & 15 | (q[i + 16] & 15) << 4));
  }

  private static int level(float x, float step, int levels) {
    return step == 0 ? 0 : Math.max(0, Math.min(levels, Math.round(x / step)));
  }

  private static void superBlock(QuantType type, float[] x, int at, ByteBuffer out) {
    int levels = type == QuantType.Q5_K ? 31 : 15;
    float[] scale = new float[8];
    float[] min = new float[8];
    float scaleTop = 0;
    float minTop = 0;
    for (int g = 0; g < 8; g++) {
      float low = 0;
      float high = 0;
      for (int i = 0; i < 32; i++) {
        low = Math.min(low, x[at + 32 * g + i]);
        high = Math.max(high, x[at + 32 * g + i]);
      }
      scale[g] = (high - low) / levels;
      min[g] = -low;
      scaleTop = Math.max(scaleTop, scale[g]);
      minTop = Math.max(minTop, min[g]);
    }
    int[] s = new int[8];
    int[] m = new int[8];
    for (int g = 0; g < 8; g++) {
      s[g] = level(scale[g], scaleTop / 63, 63);
      m[g] = level(min[g], minTop / 63, 63);
    }
    out.putShort(half(scaleTop / 63)).putShort(half(minTop / 63));
    for (int g = 0; g < 4; g++) out.put((byte) (s[g] | s[g + 4] >> 4 << 6));
    for (int g = 0; g < 4; g++) out.put((byte) (m[g] | m[g + 4] >> 4 << 6));
    for (int g = 4; g < 8; g++) out.put((byte) (s[g] & 15 | (m[g] & 15) << 4));
    int[] q = new int[256];
    for (int i = 0; i < 256; i++) {
      float step = scaleTop / 63 * s[i / 32];
      q[i] = level(x[at + i] + minTop / 63 * m[i / 32], step, levels);
    }
    for (int i = 0; levels == 31 && i < 32; i++) {
      int bits = 0;
      for (int g = 0; g < 8; g++) bits |= (q[32 * g + i] >> 4) << g;
      out.put((byte) bits);
    }
    for (int pair = 0; pair < 4; pair++) {
      for (int i = 0; i < 32; i++) {
        out.put((byte) (q[64 * pair + i] & 15 | (q[64 * pair + 32 + i] & 15) << 4));
      }
    }
  }

  private static void sixBitBlock(float[] x, int at, ByteBuffer out) {
    float top = 0;
    for (int i = 0; i < 256; i++) top = Math.max(top, Math.abs(x[at + i]));
    float d = top / 32 / 100;
    int[] scales = new int[16];
    int[] q = new int[256];
    for (int g = 0; g < 16; g++) {
      scales[g] = g % 2 == 0 ? 100 : -100;
      for (int i = 16 * g; i < 16 * g + 16; i++) {
        q[i] =
            top == 0 ? 32 : Math.max(0, Math.min(63, 32 + Math.round(x[at + i] / (d * scales[g]))));
      }
    }
    byte[] low = new byte[128];
    byte[] high = new byte[64];
    for (int i = 0; i < 256; i++) {
      int run = i / 32 % 4;
      low[i / 128 * 64 + run % 2 * 32 + i % 32] |= (byte) ((q[i] & 15) << (run / 2 * 4));
      high[i / 128 * 32 + i % 32] |= (byte) ((q[i] >> 4) << (2 * run));
    }
    out.put(low).put(high);
    for (int g = 0; g < 16; g++) out.put((byte) scales[g]);
    out.putShort(half(d));
  }

  /** Element {@code i} of encoded data. */
  public static float element(QuantType type, byte[] data, int i) {
    int at = i / type.blockElements() * type.blockBytes();
    int e = i % type.blockElements();
    ByteBuffer b = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
    float d = type.blockElements() == 32 ? half(b, at) : 0;
    int nibble = type.blockElements() == 32 ? b.get(at + type.blockBytes() - 16 + e % 16) : 0;
    int four = (e < 16 ? nibble : nibble >> 4) & 15;
    return switch (type) {
      case F32 -> b.getFloat(at);
      case F16 -> half(b, at);
      case BF16 -> Float.intBitsToFloat((b.getShort(at) & 0xffff) << 16);
      case Q4_0 -> (four - 8) * d;
      case Q4_1 -> four * d + half(b, at + 2);
      case Q5_0 -> ((four | (b.getInt(at + 2) >>> e & 1) << 4) - 16) * d;
      case Q5_1 -> (four | (b.getInt(at + 4) >>> e & 1) << 4) * d + half(b, at + 2);
      case Q8_0 -> b.get(at + 2 + e) * d;
      case Q4_K, Q5_K -> superElement(b, at, e, type == QuantType.Q5_K);
      case Q6_K -> {
        int byteAt = e / 128 * 64 + e % 64;
        int low = e % 128 < 64 ? b.get(at + byteAt) & 15 : b.get(at + byteAt) >> 4 & 15;
        int high = b.get(at + 128 + e / 128 * 32 + e % 32) >> (e % 128 / 32 * 2) & 3;
        yield half(b, at + 208) * b.get(at + 192 + e / 16) * (low + 16 * high - 32);
      }
      default -> throw new IllegalArgumentException("no oracle for " + type);
    };
  }

  private static float superElement(ByteBuffer b, int at, int e, boolean five) {
    int g = e / 32;
    int s;
    int m;
    if (g < 4) {
      s = b.get(at + 4 + g) & 63;
      m = b.get(at + 8 + g) & 63;
    } else {
      int both = b.get(at + 8 + g) & 0xff;
      s = both % 16 + 16 * ((b.get(at + g) & 0xff) / 64);
      m = both / 16 + 16 * ((b.get(at + 4 + g) & 0xff) / 64);
    }
    int nibbles = b.get(at + (five ? 48 : 16) + e / 64 * 32 + e % 32) & 0xff;
    int q = e % 64 < 32 ? nibbles % 16 : nibbles / 16;
    if (five && (b.get(at + 16 + e % 32) & 1 << g) != 0) q += 16;
    return half(b, at) * s * q - half(b, at + 2) * m;
  }

  private static float half(ByteBuffer b, int at) {
    int bits = b.getShort(at) & 0xffff;
    int exponent = bits >> 10 & 31;
    double fraction = (bits & 1023) / 1024.0;
    double value =
        exponent == 0
            ? Math.scalb(fraction, -14)
            : exponent < 31
                ? Math.scalb(1 + fraction, exponent - 15)
                : fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
    return (float) (bits >= 0x8000 ? -value : value);
  }

  /** The half nearest to x, searched for; x within their range. */
  public static short half(float x) {
    if (x == 0) return 0;
    int exponent = Math.max(-14, Math.getExponent(x));
    long steps = Math.round(Math.scalb((double) Math.abs(x), 10 - exponent));
    // A carry into 2048 runs into the exponent field, which is the right result.
    int bits = (int) (exponent == -14 && steps < 1024 ? steps : ((exponent + 14L) << 10) + steps);
    return (short) (x < 0 ? bits | 0x8000 : bits);
  }
}
