package io.shadowbatch.bench;

import java.util.Map;

/**
 * Speed over {@link SharingMode#NONE} as a roofline simulation of a 135M model on 2 cores expects
 * it: room for 5k tokens, 16 requests at a time, steps of 64 tokens, 150 GFLOP/s, 12 GB/s. Memory
 * as the only limit changed nothing there: {@link SharingMode#LRU_SORTED} is expected to be as fast
 * as {@link SharingMode#CAPPED}.
 */
final class Expected {
  private static final Map<String, double[]> RATIOS =
      Map.of(
          "M2", new double[] {1, 1.38, 1.68, 1.68, 1.70},
          "M4", new double[] {1, 2.62, 2.60, 2.60, 2.66},
          "M16", new double[] {1, 4.38, 4.42, 4.42, 4.66},
          "M64", new double[] {1, 5.32, 5.32, 5.32, 5.70},
          "MB", new double[] {1, 1.88, 6.28, 6.28, 6.84});

  private Expected() {}

  /** The ratio, or NaN where none was simulated. */
  static double ratio(String workload, SharingMode baseline) {
    double[] ratios = RATIOS.get(workload);
    return ratios == null ? Double.NaN : ratios[baseline.ordinal()];
  }
}
