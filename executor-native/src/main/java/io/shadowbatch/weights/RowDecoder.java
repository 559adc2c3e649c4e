package io.shadowbatch.weights;

/**
 * Decodes rows of every supported type, to floats or to the group form. Block layouts are those of
 * ggml (ggml-common.h and the dequantize_row functions of ggml-quants.c, as facts of the format).
 *
 * <p>The types with at most 8 bits and one scale for 32 elements go into the group form exactly: a
 * half-precision factor times a small integer is exact in a float, so that the one rounding of
 * fma(q, scale, min) is the rounding of the dequantised value.
 */
public final class RowDecoder {
  private static final int GROUP = GroupRow.GROUP;
  private static final int SUPER = 256;

  private RowDecoder() {}

  /**
   * Decodes the row that starts at {@code in[at]} to {@code out[to..to + columns)}.
   *
   * @param scratch of {@code columns} columns; used by block types only, else may be null
   */
  public static void floats(
      QuantType type, byte[] in, int at, int columns, GroupRow scratch, float[] out, int to) {
    switch (type) {
      case F32 -> {
        for (int i = 0; i < columns; i++) out[to + i] = LittleEndian.f32(in, at + 4 * i);
      }
      case F16 -> {
        for (int i = 0; i < columns; i++) out[to + i] = LittleEndian.f16(in, at + 2 * i);
      }
      case BF16 -> {
        for (int i = 0; i < columns; i++) out[to + i] = LittleEndian.bf16(in, at + 2 * i);
      }
      case Q6_K -> q6k(in, at, columns, out, to);
      default -> {
        groups(type, in, at, scratch);
        scratch.expand(out, to);
      }
    }
  }

  /** Decodes the row that starts at {@code in[at]}: exactly, or to the nearest. */
  public static void groups(QuantType type, byte[] in, int at, GroupRow out) {
    switch (type) {
      case Q4_0 -> q4x0(in, at, out);
      case Q4_1 -> q4x1(in, at, out);
      case Q5_0 -> q5(in, at, 22, out);
      case Q5_1 -> q5(in, at, 24, out);
      case Q8_0 -> q8(in, at, out);
      case Q4_K -> kBlocks(in, at, 144, out);
      case Q5_K -> kBlocks(in, at, 176, out);
      case F32, F16, BF16, Q6_K -> {
        floats(type, in, at, out.columns(), null, out.values(), 0);
        out.quantise();
      }
      default -> throw new IllegalArgumentException("decode: type " + type + " is not supported");
    }
  }

  /** Whether no scale and no min of the row is infinite or no number. */
  public static boolean finite(GroupRow row) {
    float check = 0;
    for (float s : row.scale()) check += s * 0;
    for (float m : row.min()) check += m * 0;
    return check == 0;
  }

  /** Whether no element of {@code values[from..to)} is infinite or no number. */
  public static boolean finite(float[] values, int from, int to) {
    float check = 0;
    for (int i = from; i < to; i++) check += values[i] * 0;
    return check == 0;
  }

  /** Block: half d; 16 bytes, low nibbles are elements 0..15, high ones 16..31. (q - 8) d. */
  private static void q4x0(byte[] in, int at, GroupRow out) {
    for (int g = 0; g < out.scale().length; g++, at += 18) {
      float d = LittleEndian.f16(in, at);
      out.scale()[g] = d;
      out.min()[g] = -8 * d;
      nibbles(in, at + 2, out.q(), g * GROUP);
    }
  }

  /** Block: half d, half m; nibbles as in Q4_0. q d + m. */
  private static void q4x1(byte[] in, int at, GroupRow out) {
    for (int g = 0; g < out.scale().length; g++, at += 20) {
      out.scale()[g] = LittleEndian.f16(in, at);
      out.min()[g] = LittleEndian.f16(in, at + 2);
      nibbles(in, at + 4, out.q(), g * GROUP);
    }
  }

  private static void nibbles(byte[] in, int at, byte[] q, int to) {
    for (int i = 0; i < 16; i++) {
      int b = in[at + i];
      q[to + i] = (byte) (b & 15);
      q[to + 16 + i] = (byte) (b >> 4 & 15);
    }
  }

  /** Q5_0 and Q5_1: as Q4_0 and Q4_1 with 32 fifth bits before the nibbles; Q5_0 is (q - 16) d. */
  private static void q5(byte[] in, int at, int blockBytes, GroupRow out) {
    byte[] q = out.q();
    for (int g = 0; g < out.scale().length; g++, at += blockBytes) {
      float d = LittleEndian.f16(in, at);
      out.scale()[g] = d;
      out.min()[g] = blockBytes == 22 ? -16 * d : LittleEndian.f16(in, at + 2);
      int high = LittleEndian.i32(in, at + blockBytes - 20);
      int from = at + blockBytes - 16;
      int to = g * GROUP;
      for (int i = 0; i < 16; i++) {
        int b = in[from + i];
        q[to + i] = (byte) ((b & 15) | (high >>> i & 1) << 4);
        q[to + 16 + i] = (byte) ((b >> 4 & 15) | (high >>> (i + 16) & 1) << 4);
      }
    }
  }

  /** Block: half d, 32 signed bytes. q d, here (q + 128) d - 128 d. */
  private static void q8(byte[] in, int at, GroupRow out) {
    byte[] q = out.q();
    for (int g = 0; g < out.scale().length; g++, at += 34) {
      float d = LittleEndian.f16(in, at);
      out.scale()[g] = d;
      out.min()[g] = -128 * d;
      for (int i = 0; i < GROUP; i++) q[g * GROUP + i] = (byte) (in[at + 2 + i] ^ 0x80);
    }
  }

  /**
   * Q4_K and Q5_K: half d, half dmin, 8 six-bit scales and 8 six-bit mins in 12 bytes, for Q5_K 32
   * bytes of fifth bits (bit j of byte i: element i of group j), 128 bytes of nibbles (32 bytes for
   * two groups: low nibbles the even one). q d scale - dmin min.
   */
  private static void kBlocks(byte[] in, int at, int blockBytes, GroupRow out) {
    byte[] q = out.q();
    boolean five = blockBytes == 176;
    for (int g = 0; g < out.scale().length; at += blockBytes) {
      float d = LittleEndian.f16(in, at);
      float dmin = LittleEndian.f16(in, at + 2);
      for (int j = 0; j < 8; j++, g++) {
        out.scale()[g] = d * scaleBits(in, at + 4, j);
        out.min()[g] = -(dmin * minBits(in, at + 4, j));
        int from = at + blockBytes - 128 + j / 2 * 32;
        int shift = j % 2 * 4;
        int to = g * GROUP;
        for (int i = 0; i < GROUP; i++) q[to + i] = (byte) (in[from + i] >> shift & 15);
        for (int i = 0; five && i < GROUP; i++) {
          q[to + i] |= (byte) ((in[at + 16 + i] >> j & 1) << 4);
        }
      }
    }
  }

  /** Scale j of 8: bytes 0..3 hold 0..3; 4..7 are low nibbles of 8..11 with top bits of 0..3. */
  private static int scaleBits(byte[] in, int at, int j) {
    return j < 4 ? in[at + j] & 63 : (in[at + j + 4] & 15) | (in[at + j - 4] >> 6 & 3) << 4;
  }

  /** Min j of 8: bytes 4..7 hold 0..3; 4..7 are high nibbles of 8..11 with top bits of 4..7. */
  private static int minBits(byte[] in, int at, int j) {
    return j < 4 ? in[at + 4 + j] & 63 : (in[at + j + 4] >> 4 & 15) | (in[at + j] >> 6 & 3) << 4;
  }

  /**
   * Block: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, half d. (q -
   * 32) d scale; two halves of 128 elements, each four runs of 32.
   */
  private static void q6k(byte[] in, int at, int columns, float[] out, int to) {
    for (int b = 0; b < columns / SUPER; b++, at += 210) {
      float d = LittleEndian.f16(in, at + 208);
      for (int e = 0; e < SUPER; e += 16) {
        int half = e / 128;
        int run = e % 128 / 32;
        int low = at + half * 64 + run % 2 * 32 + e % 32;
        int high = at + 128 + half * 32 + e % 32;
        float scale = d * in[at + 192 + e / 16];
        for (int i = 0; i < 16; i++) {
          int q = (in[low + i] >> (run / 2 * 4) & 15) | (in[high + i] >> (run * 2) & 3) << 4;
          out[to + b * SUPER + e + i] = scale * (q - 32);
        }
      }
    }
  }
}
