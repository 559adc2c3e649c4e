package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** T26: which requests are compared, and what the comparison of two rows of logits says. */
class CanaryTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private final Random random = new Random(SEED);

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  private float[] logits(int width, double scale) {
    float[] row = new float[width];
    for (int i = 0; i < width; i++) row[i] = (float) (scale * random.nextGaussian());
    return row;
  }

  /** sum p (log p - log q), with probabilities of their own. */
  private static double kl(float[] p, float[] q) {
    double pSum = 0;
    double qSum = 0;
    for (float x : p) pSum += Math.exp(x);
    for (float x : q) qSum += Math.exp(x);
    double kl = 0;
    for (int i = 0; i < p.length; i++) {
      double a = Math.exp(p[i]) / pSum;
      double b = Math.exp(q[i]) / qSum;
      kl += a * (Math.log(a) - Math.log(b));
    }
    return kl;
  }

  @Test
  void divergenceIsItsDefinition() {
    for (int i = 0; i < 300; i++) {
      int width = 2 + random.nextInt(2000);
      double scale = Math.pow(10, random.nextDouble() * 3 - 1.5);
      float[] p = logits(width, scale);
      float[] q = logits(width, scale);
      double expected = kl(p, q);
      assertThat(CanaryRow.divergence(p, q)).isCloseTo(expected, within(1e-9 * (1 + expected)));
      assertThat(CanaryRow.divergence(p, p.clone())).isBetween(0.0, 1e-12);
      float[] shifted = p.clone();
      for (int j = 0; j < width; j++) shifted[j] += 1024; // rounds in the last place
      assertThat(CanaryRow.divergence(p, shifted)).isBetween(0.0, 1e-6);
    }
  }

  /** 1000 is beyond what exp can hold. */
  @Test
  void largeLogitsAreNoTrouble() {
    float[] p = {1000, 999, -1000};
    float[] q = {-1000, -1001, -3000};
    assertThat(CanaryRow.divergence(p, q)).isCloseTo(0, within(1e-12));
    double e = Math.exp(-1);
    double expected = (1 - e) / (1 + e); // log-odds 1 against -1
    float[] turned = {999, 1000, -1000};
    assertThat(CanaryRow.divergence(p, turned)).isCloseTo(expected, within(1e-9));
  }

  @Test
  void aRowSumsWhatItsPositionsSayButForTheFirst() {
    for (int tokens : new int[] {1, 2, 9, CanaryRow.TOKENS_MOST, 40}) {
      CanaryRow row = new CanaryRow();
      float[][] kept = new float[tokens][];
      for (int i = 0; i < tokens; i++) row.keep(100 + i, kept[i] = logits(500, 3));
      int compared = Math.min(tokens, CanaryRow.TOKENS_MOST);
      assertThat(row.tokens()).isEqualTo(compared);
      assertThat(row.comparable()).isEqualTo(tokens > 1);
      double expected = 0;
      for (int i = 0; i < compared; i++) {
        float[] exact = kept[i].clone();
        for (int j = 0; j < exact.length; j++) exact[j] += 0.3f * (float) random.nextGaussian();
        if (i > 0) expected += kl(exact, kept[i]);
        assertThat(row.replay(i, exact)).isEqualTo(100 + i);
      }
      assertThat(row.positions()).isEqualTo(compared - 1);
      assertThat(row.klSum()).isCloseTo(expected, within(2e-3 * (1 + expected))); // halves
      assertThat(row.agreed()).isBetween(0, compared - 1);
    }
  }

  /** The first 32, then so many that they are one of a hundred. */
  @Test
  void theFirstAreComparedAndThenOneOfAHundred() {
    Canary canary = new Canary();
    int begun = 0;
    for (int n = 1; n <= 20_000; n++) {
      CanaryRow row = canary.arrived();
      if (row != null) {
        begun++;
        canary.ended(row);
      }
      int expected = Math.max(Math.min(n, Canary.ROWS_LEAST), (n + 99) / 100);
      assertThat(begun).as("of %d requests", n).isEqualTo(expected);
    }
    assertThat(canary.metrics().rows()).as("none had a token to compare").isZero();
  }

  /** What is not compared because too many are under way is made up for later. */
  @Test
  void noMoreThanSomeAreUnderWayAtOnce() {
    Canary canary = new Canary();
    Deque<CanaryRow> underWay = new ArrayDeque<>();
    int begun = 0;
    for (int n = 1; n <= 10_000; n++) {
      CanaryRow row = canary.arrived();
      if (row != null) {
        underWay.add(row);
        begun++;
      }
      assertThat(underWay.size()).isLessThanOrEqualTo(32);
      if (n > 9_000 && !underWay.isEmpty()) canary.ended(underWay.remove());
    }
    assertThat(begun).isEqualTo(100);
  }

  /** A row in which {@code wrong} of its 16 positions have another most likely token. */
  private CanaryRow compared(int wrong, float away) {
    CanaryRow row = new CanaryRow();
    float[] logits = {away, 0};
    float[] turned = {0, away};
    for (int i = 0; i < CanaryRow.TOKENS_MOST; i++) row.keep(0, logits);
    for (int i = 0; i < CanaryRow.TOKENS_MOST; i++)
      row.replay(i, i > 0 && i <= wrong ? turned : logits);
    return row;
  }

  private static Canary after(CanaryRow row, int times) {
    Canary canary = new Canary();
    for (int i = 0; i < times; i++) {
      canary.arrived();
      canary.ended(row);
    }
    return canary;
  }

  @Test
  void answersThatAreTooFarApartAreNoticedOnceThereAreEnough() {
    float little = 0.01f; // agreement only: the divergence is small
    assertThat(after(compared(2, little), 20).exceeded()).isFalse();
    assertThat(after(compared(3, little), 20).exceeded()).isTrue(); // 13 of 16 agree: 0.81
    assertThat(after(compared(1, 3), 20).metrics().klMean()).isGreaterThan(CanaryMetrics.KL_MOST);
    assertThat(after(compared(1, 3), 20).exceeded()).isTrue(); // 15 of 16 agree
    assertThat(after(compared(16, 3), 3).exceeded()).as("48 positions").isFalse();
    assertThat(after(compared(16, 3), 4).exceeded()).as("64 positions").isTrue();
    assertThat(after(compared(0, 3), 20).metrics().agreement()).isEqualTo(1);
  }

  @Test
  void logitsThatAreNoNumbersAreTooFarApart() {
    assertThat(after(compared(0, Float.NaN), 4).exceeded()).isTrue();
  }

  @Test
  void theTwinIsTheSamePromptReadExactlyForAsManyTokens() {
    CanaryRow row = compared(0, 1);
    Request request = new Request(7, new int[] {1, 2, 3}, SamplingParams.GREEDY, KvMode.SHADOW);
    Request twin = Canary.twin(request, row);
    assertThat(twin.tokens()).isEqualTo(request.tokens());
    assertThat(twin.kvMode()).isEqualTo(KvMode.DENSE);
    assertThat(twin.params().maxTokens()).isEqualTo(CanaryRow.TOKENS_MOST);
  }
}
