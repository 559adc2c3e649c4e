package io.shadowbatch.engine;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Measures how many tokens a step needs to use the machine well: the fewest that reach 90 % of the
 * best rate of the model's widest product. Fewer tokens a step start answers sooner; the answers do
 * not depend on it.
 */
final class Calibration {
  private static final int FEWEST = 64;

  /** Most tokens of a step that is measured on a CPU. */
  static final int MOST_ON_HOST = 512;

  private static final int MOST_ON_DEVICE = 8192;
  private static final double GAIN = 1.05;
  private static final int ROUNDS = 3;
  private static final double ENOUGH = 0.9;

  private Calibration() {}

  /** Tokens of a step for this backend and matrix. */
  static int batchTokens(Kernels kernels, PackedMatrix widest) {
    try (Storage probe = kernels.allocate(4L * FEWEST)) {
      return batchTokens(kernels, widest, probe.bytes() == null ? MOST_ON_DEVICE : MOST_ON_HOST);
    }
  }

  private static int batchTokens(Kernels kernels, PackedMatrix widest, int most) {
    List<Double> rates = new ArrayList<>();
    double best = 0;
    for (int tokens = FEWEST; tokens <= most; tokens *= 2) {
      double rate = tokens / seconds(kernels, widest, tokens);
      rates.add(rate);
      // A processor of few cores is at its best soon, a device of many thousand late.
      if (tokens >= MOST_ON_HOST && rate < GAIN * best) break;
      best = Math.max(best, rate);
    }
    int i = 0;
    while (rates.get(i) < ENOUGH * best) i++;
    return FEWEST << i;
  }

  private static double seconds(Kernels kernels, PackedMatrix widest, int tokens) {
    try (Storage in = kernels.allocate(4L * tokens * widest.columns());
        Storage packed = kernels.allocate(kernels.activationBytes(tokens, widest.columns()));
        Storage out = kernels.allocate(4L * tokens * widest.rows())) {
      Activations x = kernels.activations(packed, tokens, widest.columns());
      kernels.quantize(Tensor.of(in, DType.F32, tokens, widest.columns()), x);
      return seconds(kernels, widest, x, Tensor.of(out, DType.F32, tokens, widest.rows()));
    }
  }

  private static double seconds(Kernels kernels, PackedMatrix w, Activations x, Tensor y) {
    long least = Long.MAX_VALUE;
    for (int round = 0; round <= ROUNDS; round++) {
      kernels.finish();
      long t0 = System.nanoTime();
      kernels.matmul(x, w, null, y.rows(0, x.rows()), Kernels.Store.SET);
      kernels.finish();
      least = Math.min(least, System.nanoTime() - t0);
    }
    return Math.max(1, least) / 1e9;
  }
}
