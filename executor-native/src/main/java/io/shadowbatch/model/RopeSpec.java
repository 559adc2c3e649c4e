package io.shadowbatch.model;

/**
 * The rotary embedding of a model: dimensions i and i + rotaryDim / 2 of each head turn together.
 *
 * @param base {@code rope_theta}
 * @param rotaryDim dimensions of a head that turn
 */
public record RopeSpec(double base, int rotaryDim, RopeScaling scaling) {

  /**
   * Radians per position of each of the rotaryDim / 2 pairs: base^(-2 i / rotaryDim), scaled. With
   * {@link StrictMath}, so that every machine has the same bits.
   */
  public double[] frequencies() {
    double[] result = new double[rotaryDim / 2];
    for (int i = 0; i < result.length; i++) {
      result[i] = scaling.scale(i, StrictMath.pow(base, -2.0 * i / rotaryDim));
    }
    return result;
  }
}
