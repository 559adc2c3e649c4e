package io.shadowbatch.weights;

/**
 * One row of a matrix as unsigned 8-bit integers with a scale and a min for each group of 32
 * columns: value = fma(q, scale, min). A reusable buffer of one thread.
 */
public final class GroupRow {
  /** Columns of a group. */
  public static final int GROUP = 32;

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
   */
  void quantise() {
    for (int g = 0; g < scale.length; g++) {
      int from = g * GROUP;
      float low = values[from];
      float high = low;
      for (int i = from + 1; i < from + GROUP; i++) {
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
      }
      // In double, because high - low of two finite floats may be no finite float.
      float step = (float) (((double) high - low) / 255);
      scale[g] = step;
      min[g] = low;
      double inverse = step == 0 ? 0 : 1.0 / step;
      for (int i = from; i < from + GROUP; i++) {
        int n = (int) Math.rint(((double) values[i] - low) * inverse);
        q[i] = (byte) Math.min(255, n);
      }
    }
  }
}
