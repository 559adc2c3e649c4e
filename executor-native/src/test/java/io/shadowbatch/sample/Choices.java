package io.shadowbatch.sample;

import io.shadowbatch.request.SamplingParams;
import java.util.List;
import java.util.Random;

/** Random rows of logits, parameters of all kinds and pasts, from a seed. */
public final class Choices {
  private final Random random;

  public Choices(long seed) {
    random = new Random(seed);
  }

  /** Normal or with a long tail, flat or steep; some with equals, zeros or NaN. */
  public float[] logits(int vocabulary) {
    float[] x = new float[vocabulary];
    int kind = random.nextInt(6);
    float spread = 0.5f + 4 * random.nextFloat();
    for (int i = 0; i < x.length; i++) {
      double g = random.nextGaussian();
      x[i] = (float) (kind == 1 ? -spread * Math.log(1 - random.nextDouble()) : spread * g);
      if (kind == 2) x[i] = Math.round(4 * x[i]) / 4f;
      if (kind == 3 && random.nextInt(5) == 0) x[i] = Float.NaN;
      if (kind == 4 && random.nextInt(3) == 0) x[i] = random.nextBoolean() ? 0f : -0f;
    }
    return x;
  }

  public SamplingParams params() {
    boolean greedy = random.nextInt(8) == 0;
    double temperature = random.nextBoolean() ? 1 : 0.1 + 2 * random.nextDouble();
    double topP = random.nextBoolean() ? 1 : 0.05 + 0.95 * random.nextDouble();
    int topK = random.nextBoolean() ? 0 : 1 + random.nextInt(400);
    double minP = random.nextInt(3) > 0 ? 0 : random.nextDouble() * 0.5;
    boolean penalised = random.nextBoolean();
    return new SamplingParams(
        9,
        random.nextInt(3) == 0 ? 9 : 0,
        greedy ? 0 : temperature,
        topP,
        topK,
        minP,
        random.nextLong(),
        List.of(),
        List.of(),
        penalised && random.nextBoolean() ? random.nextDouble() * 4 - 2 : 0,
        penalised && random.nextBoolean() ? random.nextDouble() * 4 - 2 : 0,
        penalised ? 0.5 + random.nextDouble() * 1.5 : 1,
        random.nextInt(3) == 0 ? random.nextInt(21) : -1,
        false);
  }

  public Sampler.Past past(int vocabulary) {
    int[] tokens = random.ints(1 + random.nextInt(600), 0, vocabulary).toArray();
    int forbidden = random.nextBoolean() ? 0 : random.nextInt(4);
    return new Sampler.Past(
        tokens,
        tokens.length,
        random.nextInt(tokens.length + 1),
        random.ints(forbidden, 0, vocabulary + 3).toArray());
  }
}
