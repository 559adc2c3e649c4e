package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.cpu.Isa;
import io.shadowbatch.kernels.cpu.NativeExp;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The polynomial exponential: close to the true one, and the same in all of its versions. */
class ExpTest {
  private static final long SEED = 7;
  private static final int COUNT = 1_000_000;

  private static float[] arguments() {
    Random random = new Random(SEED);
    float[] x = new float[COUNT + 8];
    for (int i = 0; i < COUNT; i++) {
      x[i] =
          i % 2 == 0
              ? (random.nextFloat() - 0.5f) * 180
              : Float.intBitsToFloat(random.nextInt() & 0xbfffffff);
    }
    float[] edges = {0f, -0f, 87f, -87f, 88f, -1e30f, Float.POSITIVE_INFINITY, Float.NaN};
    System.arraycopy(edges, 0, x, COUNT, edges.length);
    return x;
  }

  @Test
  void isWithinTwoTenMillionthsOfTheTrueOne() {
    double worst = 0;
    for (float x : arguments()) {
      if (!(Math.abs(x) <= 87f)) continue;
      double truth = StrictMath.exp(x);
      worst = Math.max(worst, Math.abs(ReferenceMath.exp(x) - truth) / truth);
    }
    System.out.printf("exp: largest relative error %.2e (seed %d)%n", worst, SEED);
    assertThat(worst).isLessThan(2e-7);
  }

  @Test
  void hasTheSameBitsOnAllInstructionSets() {
    float[] x = arguments();
    for (Isa isa : Isa.supported()) {
      float[] y = NativeExp.exp(isa, x);
      for (int i = 0; i < x.length; i++) {
        int expected = Float.floatToIntBits(ReferenceMath.exp(x[i]));
        if (Float.floatToIntBits(y[i]) != expected) {
          throw new AssertionError(
              "%s: exp(%a) is %a, the reference has %a (seed %d)"
                  .formatted(isa, x[i], y[i], Float.intBitsToFloat(expected), SEED));
        }
      }
    }
  }
}
