package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Scores of rows against plain formulas in double. */
class LikenessTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261121L);

  private final Random random = new Random(SEED);

  private float[] logits(int width, double scale) {
    float[] row = new float[width];
    for (int i = 0; i < width; i++) row[i] = (float) (scale * random.nextGaussian());
    return row;
  }

  private static double[] softmax(float[] logits) {
    double sum = 0;
    double[] p = new double[logits.length];
    for (int i = 0; i < p.length; i++) sum += p[i] = Math.exp(logits[i]);
    for (int i = 0; i < p.length; i++) p[i] /= sum;
    return p;
  }

  @Test
  void klIsItsDefinition() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    for (int width : new int[] {2, 300, 5000}) {
      for (double scale : new double[] {0.1, 1, 6}) {
        float[] a = logits(width, scale);
        float[] b = logits(width, scale);
        double[] p = softmax(a);
        double[] q = softmax(b);
        double expected = 0;
        for (int i = 0; i < width; i++) expected += p[i] * Math.log(p[i] / q[i]);
        double found = Likeness.kl(Likeness.logProbs(a.clone()), Likeness.logProbs(b.clone()));
        assertThat(found).as("%d %s", width, scale).isCloseTo(expected, within(2e-5 * scale));
      }
    }
  }

  @Test
  void logitsThatAreLargeOrShiftedGiveTheSameProbabilities() {
    float[] logits = {300, 301, 299, 0};
    float[] found = Likeness.logProbs(logits.clone());
    double[] p = softmax(new float[] {0, 1, -1, -300});
    for (int i = 0; i < 3; i++) assertThat(Math.exp(found[i])).isCloseTo(p[i], within(1e-6));
  }

  @Test
  void equalRowsHaveNoDistanceAtAll() {
    Likeness likeness = new Likeness();
    for (int i = 0; i < 200; i++) {
      float[] row = Likeness.logProbs(logits(400, 3));
      likeness.add(row, row.clone());
    }
    assertThat(likeness.rows()).isEqualTo(200);
    assertThat(likeness.mean()).isEqualTo(0.0);
    assertThat(likeness.quantile(0.99)).isEqualTo(0.0);
    assertThat(likeness.top1()).isEqualTo(1.0);
  }

  @Test
  void meanQuantileAndTopAreCountedOverRows() {
    Likeness likeness = new Likeness();
    double[] kls = new double[150];
    int same = 0;
    for (int i = 0; i < kls.length; i++) {
      float[] a = Likeness.logProbs(logits(50, 2));
      float[] b = Likeness.logProbs(logits(50, i % 2 == 0 ? 2 : 0.01));
      if (i % 3 == 0) b = a.clone();
      kls[i] = Likeness.kl(a, b);
      if (Likeness.top(a) == Likeness.top(b)) same++;
      likeness.add(a, b);
    }
    Arrays.sort(kls);
    assertThat(likeness.mean()).isCloseTo(Arrays.stream(kls).average().orElseThrow(), within(1e-9));
    assertThat(likeness.quantile(0.99)).isEqualTo(kls[148]); // 149 of 150 rows reach 0.99
    assertThat(likeness.quantile(0.5)).isEqualTo(kls[74]);
    assertThat(likeness.top1()).isEqualTo(same / 150.0);
    assertThat(same).isBetween(50, 149);
  }

  @Test
  void theLowestOfEqualTopsCounts() {
    assertThat(Likeness.top(new float[] {1, 5, 5, 2})).isEqualTo(1);
  }

  @Test
  void withoutRowsThereIsNoNumber() {
    assertThat(new Likeness().mean()).isNaN();
    assertThat(new Likeness().quantile(0.99)).isNaN();
    assertThat(new Likeness().top1()).isNaN();
  }
}
