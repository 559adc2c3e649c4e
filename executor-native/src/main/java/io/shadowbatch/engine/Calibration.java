package io.shadowbatch.engine;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * Measures how many tokens a step needs to use the machine well: the fewest that reach 90 % of the
 * best rate of the model's widest product. Fewer tokens a step start answers sooner; the answers do
 * not depend on it.
 */
final class Calibration {
  private static final int[] TOKENS = {64, 128, 256, 512};
  private static final int ROUNDS = 3;
  private static final double ENOUGH = 0.9;

  private Calibration() {}

  /** Tokens of a step for this backend and matrix. */
  static int batchTokens(Kernels kernels, PackedMatrix widest) {
    int most = TOKENS[TOKENS.length - 1];
    double[] rates = new double[TOKENS.length];
    double best = 0;
    try (Storage in = kernels.allocate(4L * most * widest.columns());
        Storage packed = kernels.allocate(kernels.activationBytes(most, widest.columns()));
        Storage out = kernels.allocate(4L * most * widest.rows())) {
      Activations x = kernels.activations(packed, most, widest.columns());
      kernels.quantize(Tensor.of(in, DType.F32, most, widest.columns()), x);
      Tensor y = Tensor.of(out, DType.F32, most, widest.rows());
      for (int i = 0; i < TOKENS.length; i++) {
        rates[i] = TOKENS[i] / seconds(kernels, widest, x.rows(0, TOKENS[i]), y);
        best = Math.max(best, rates[i]);
      }
    }
    int i = 0;
    while (rates[i] < ENOUGH * best) i++;
    return TOKENS[i];
  }

  private static double seconds(Kernels kernels, PackedMatrix w, Activations x, Tensor y) {
    long least = Long.MAX_VALUE;
    for (int round = 0; round <= ROUNDS; round++) {
      long t0 = System.nanoTime();
      kernels.matmul(x, w, null, y.rows(0, x.rows()), Kernels.Store.SET);
      least = Math.min(least, System.nanoTime() - t0);
    }
    return Math.max(1, least) / 1e9;
  }
}
