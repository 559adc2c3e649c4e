package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** T12: the choice of chunks that are always read, against sorting all of them. */
class OutlierChunksTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** The first and the least, of equals the earlier. */
  private static int[] sorted(float[] likeness, int outliers) {
    Comparator<Integer> byLikeness = Comparator.comparingDouble(c -> likeness[c]);
    IntStream least =
        IntStream.range(0, likeness.length)
            .boxed()
            .sorted(byLikeness.thenComparing(c -> c))
            .limit(outliers)
            .mapToInt(c -> c);
    return IntStream.concat(IntStream.of(0), least).sorted().distinct().toArray();
  }

  @Test
  void theChosenAreTheFirstAndTheLeastOfASortedList() {
    Random random = new Random(SEED);
    for (int i = 0; i < 5000; i++) {
      float[] likeness = new float[1 + random.nextInt(60)];
      int values = 1 + random.nextInt(40); // few values: many equals
      for (int c = 0; c < likeness.length; c++) likeness[c] = 1 - 0.1f * random.nextInt(values);
      int outliers = random.nextInt(likeness.length + 4);
      assertThat(OutlierChunks.chosen(likeness, outliers))
          .as("case %d: %d of %d", i, outliers, likeness.length)
          .isEqualTo(sorted(likeness, outliers));
    }
  }

  /** Landmarks never hold one ({@code summarise} makes it -1); if one did, it would come last. */
  @Test
  void whatIsNotANumberKeepsNoOutlierOut() {
    Random random = new Random(SEED);
    for (int i = 0; i < 5000; i++) {
      float[] likeness = new float[1 + random.nextInt(30)];
      for (int c = 0; c < likeness.length; c++) {
        likeness[c] = random.nextInt(4) == 0 ? Float.NaN : 0.1f * (1 + random.nextInt(9));
      }
      int outliers = random.nextInt(likeness.length + 2);
      assertThat(OutlierChunks.chosen(likeness, outliers)).isEqualTo(sorted(likeness, outliers));
    }
  }
}
