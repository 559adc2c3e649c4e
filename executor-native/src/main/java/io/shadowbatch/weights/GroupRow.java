package io.shadowbatch.weights;

/**
 * One row of a matrix as unsigned 8-bit integers with a scale and a min for each group of 32
 * columns: value = fma(q, scale, min). A reusable buffer of one thread.
 */
public final class GroupRow {
  /** Columns of a group. */
  public static final int GROUP = 32;

  private static final float ROUNDING = 0x1.8p23f;
  private static final float STEP_FAST_MIN = 0x1p-100f;
  private static final float STEP_FAST_MAX = 0x1p100f;

  private final byte[] q;
  private final float[] scale;
  private final float[] min;
  private final float[] values;

  /**
   * @param columns a multiple of 32
   */
  public GroupRow(int columns) {
    if (columns <= 0 || columns % GROUP != 0) {
      throw new IllegalArgumentException(
          "group row: %d columns, need a multiple of %d".formatted(columns, GROUP));
    }
    q = new byte[columns];
    scale = new float[columns / GROUP];
    min = new float[columns / GROUP];
    values = new float[columns];
  }

  /** The integers, one for each column. */
  public byte[] q() {
    return q;
  }

  /** The factor of each group. */
  public float[] scale() {
    return scale;
  }

  /** The value of integer 0 in each group. */
  public float[] min() {
    return min;
  }

  /** Columns of the row. */
  public int columns() {
    return q.length;
  }

  /** Writes the values that the integers stand for to {@code out[at..)}. */
  public void expand(float[] out, int at) {
    for (int g = 0; g < scale.length; g++) {
      float s = scale[g];
      float m = min[g];
      int from = g * GROUP;
      for (int i = from; i < from + GROUP; i++) out[at + i] = Math.fma((float) (q[i] & 0xff), s, m);
    }
  }

  /** Room for the row as floats, for types that are rounded. */
  float[] values() {
    return values;
  }

  /**
   * Rounds each group of {@link #values} to 256 even steps from its smallest to its largest value.
   * A group with a value that is not finite gets a scale that is not.
   */
  void quantise() {
    for (int g = 0; g < scale.length; g++) {
      int from = g * GROUP;
      int lowKey = Integer.MAX_VALUE;
      int highKey = Integer.MIN_VALUE;
      for (int i = from; i < from + GROUP; i++) {
        int key = orderedKey(Float.floatToRawIntBits(values[i]));
        lowKey = Math.min(lowKey, key);
        highKey = Math.max(highKey, key);
      }
      float low = Float.intBitsToFloat(orderedKey(lowKey));
      float high = Float.intBitsToFloat(orderedKey(highKey));
      // In double, because high - low of two finite floats may be no finite float.
      float step = (float) (((double) high - low) / 255);
      scale[g] = step;
      min[g] = low;
      if (step >= STEP_FAST_MIN && step <= STEP_FAST_MAX) {
        roundFast(from, low, 1 / step);
      } else {
        round(from, low, step == 0 ? 0 : 1.0 / step);
      }
    }
  }

  /** The bits of a float as an int in the same order, NaN beyond the infinities; and back. */
  private static int orderedKey(int bits) {
    return bits ^ (bits >> 31 & 0x7fffffff);
  }

  /** Adding 1.5 * 2^23 leaves the nearest integer in the low bits of a float. */
  private void roundFast(int from, float low, float inverse) {
    for (int i = from; i < from + GROUP; i++) {
      // At most 255 and a few units in the last place: never rounded to 256.
      float shifted = (values[i] - low) * inverse + ROUNDING;
      q[i] = (byte) Float.floatToRawIntBits(shifted);
    }
  }

  private void round(int from, float low, double inverse) {
    for (int i = from; i < from + GROUP; i++) {
      int n = (int) Math.rint(((double) values[i] - low) * inverse);
      q[i] = (byte) Math.min(255, n);
    }
  }
}
