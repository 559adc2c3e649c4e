package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Rounding to 16 values a group. */
class FourBitStoreTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);

  @Test
  void everyGroupHasSixteenValuesAtMostHalfAStepAway() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    for (int group : new int[] {16, 32, 64}) {
      float[] row = new float[192];
      for (int i = 0; i < row.length; i++) row[i] = (float) random.nextGaussian() * (1 + i / 64);
      float[] rounded = row.clone();
      FourBitStore.round(rounded, group);
      for (int from = 0; from < row.length; from += group) {
        float least = Float.MAX_VALUE;
        float most = -Float.MAX_VALUE;
        TreeSet<Float> values = new TreeSet<>();
        double error = 0;
        for (int i = from; i < from + group; i++) {
          least = Math.min(least, row[i]);
          most = Math.max(most, row[i]);
          values.add(rounded[i]);
          error = Math.max(error, Math.abs(row[i] - rounded[i]));
        }
        double step = (most - least) / 15;
        // Half a step, and what 11 bits for the least value and the step move the grid.
        double grid = (Math.abs(least) + (most - least)) / 2048;
        assertThat(values.size()).isBetween(2, 16);
        assertThat(error).isBetween(step / 8, step / 2 + grid);
      }
    }
  }

  @Test
  void aGroupOfOneValueKeepsIt() {
    float[] row = new float[32];
    java.util.Arrays.fill(row, 1.5f);
    FourBitStore.round(row, 32);
    assertThat(row).containsOnly(1.5f);
  }
}
