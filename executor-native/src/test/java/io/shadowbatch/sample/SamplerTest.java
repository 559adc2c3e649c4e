package io.shadowbatch.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final long SEED = 20261121;
  private static final Sampler.Past NOTHING = new Sampler.Past(new int[] {0}, 1, 1, new int[0]);
  private final Sampler sampler = new Sampler();

  @Test
  void greedyTakesTheLargestAndTheLowestIdOnATie() {
    float[] logits = {1, 5, 5, -3};
    assertThat(sampler.choose(logits, SamplingParams.GREEDY, NOTHING)).isEqualTo(1);
  }

  @Test
  void rowWithoutNumbersHasNoChoice() {
    float[] logits = {Float.NaN, Float.NaN};
    assertThat(sampler.choose(logits, SamplingParams.GREEDY, NOTHING)).isEqualTo(-1);
    assertThat(sampler.choose(logits, params(1, 1, 0, 0, 1), NOTHING)).isEqualTo(-1);
  }

  @Test
  void drawsWhatAFullSortOfAllProbabilitiesDraws() {
    Random random = new Random(SEED);
    int compared = 0;
    for (int i = 0; i < 3000; i++) {
      float[] logits = new float[random.nextBoolean() ? 7 : 1500];
      for (int j = 0; j < logits.length; j++) logits[j] = (float) (random.nextGaussian() * 3);
      double temperature = random.nextBoolean() ? 1 : 0.1 + 2 * random.nextDouble();
      double topP = random.nextBoolean() ? 1 : 0.05 + 0.95 * random.nextDouble();
      int topK = random.nextBoolean() ? 0 : 1 + random.nextInt(300);
      double minP = random.nextBoolean() ? 0 : random.nextDouble() * 0.5;
      SamplingParams params = params(temperature, topP, topK, minP, random.nextLong());
      int oracle = oracle(logits, params, Sampler.uniform(params.seed(), 0));
      int chosen = sampler.choose(logits.clone(), params, NOTHING);
      if (oracle < 0) continue; // the draw lies on a border within rounding
      compared++;
      assertThat(chosen).as("draw %d of seed %d, %s", i, SEED, params).isEqualTo(oracle);
    }
    assertThat(compared).isGreaterThan(2300);
  }

  /** Textbook sampling in double precision, or -1 if rounding could decide. */
  private static int oracle(float[] logits, SamplingParams p, double uniform) {
    List<Integer> ids =
        IntStream.range(0, logits.length)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> -logits[i]))
            .toList();
    double[] weight = new double[ids.size()];
    double top = logits[ids.get(0)];
    int kept = 0;
    double total = 0;
    for (int i = 0; i < weight.length && (p.topK() == 0 || i < p.topK()); i++) {
      weight[i] = Math.exp((logits[ids.get(i)] - top) / p.temperature());
      if (Math.abs(weight[i] - p.minP()) < 1e-5) return -1;
      if (weight[i] < p.minP()) break;
      total += weight[i];
      kept++;
    }
    double nucleus = 0;
    int last = 0;
    while (last < kept && nucleus < p.topP() * total) nucleus += weight[last++];
    if (p.topP() < 1 && nucleus - weight[last - 1] > (p.topP() - 1e-5) * total) return -1;
    if (p.topP() < 1 && nucleus < (p.topP() + 1e-5) * total) return -1;
    double goal = uniform * (p.topP() < 1 ? nucleus : total);
    double sum = 0;
    for (int i = 0; i < kept; i++) {
      sum += weight[i];
      if (Math.abs(goal - sum) < 1e-5 * total) return -1;
      if (goal < sum) return ids.get(i);
    }
    return -1;
  }

  @Test
  void frequenciesFollowTheProbabilities() {
    float[] logits = {0, 1, 2, -1};
    int[] counts = new int[4];
    int n = 40_000;
    for (int i = 0; i < n; i++) {
      counts[sampler.choose(logits.clone(), params(1, 1, 0, 0, SEED + i), NOTHING)]++;
    }
    double sum = Math.exp(0) + Math.exp(1) + Math.exp(2) + Math.exp(-1);
    for (int i = 0; i < 4; i++) {
      double p = Math.exp(logits[i]) / sum;
      assertThat(counts[i] / (double) n).isCloseTo(p, within(5 * Math.sqrt(p / n)));
    }
  }

  @Test
  void stepsOfOneRequestAndSeedsOfTwoAreIndependent() {
    double correlation = 0;
    for (int i = 0; i < 10_000; i++) {
      double a = Sampler.uniform(i, 0) - 0.5;
      correlation += a * (Sampler.uniform(i + 1, 0) - 0.5) + a * (Sampler.uniform(i, 1) - 0.5);
    }
    assertThat(correlation / 10_000).isCloseTo(0, within(0.01));
  }

  @Test
  void forbiddenTokensAreNeverChosen() {
    float[] logits = {9, 8, 7};
    Sampler.Past past = new Sampler.Past(new int[] {0}, 1, 1, new int[] {0, 1, 77});
    assertThat(sampler.choose(logits, SamplingParams.GREEDY, past)).isEqualTo(2);
  }

  @Test
  void penaltiesFollowTheirFormulas() {
    SamplingParams p =
        new SamplingParams(9, 0, 0, 1, 0, 0, 0, List.of(), List.of(), 0.5, 0.25, 2, -1, false);
    // Token 0 in the prompt, token 1 generated twice, token 2 never.
    Sampler.Past past = new Sampler.Past(new int[] {0, 1, 1}, 3, 1, new int[0]);
    float[] logits = {4, -4, 1};
    sampler.choose(logits, p, past);
    assertThat(logits).containsExactly(2f, -8f - 0.5f - 2 * 0.25f, 1f);
  }

  @Test
  void logprobsAreThoseOfASoftmaxBestFirst() {
    float[] logits = {0, 2, 1, 2};
    TokenLogprob l = sampler.logprob(logits, 2, 3);
    double norm = Math.log(Math.exp(0) + 2 * Math.exp(2) + Math.exp(1));
    assertThat(l.logprob()).isCloseTo(1 - norm, within(1e-9));
    assertThat(l.top().stream().map(TokenLogprob.Alternative::tokenId)).containsExactly(1, 3, 2);
    assertThat(l.top().get(0).logprob()).isCloseTo(2 - norm, within(1e-9));
    assertThat(sampler.logprob(logits, 2, 0).top()).isEmpty();
  }

  private static SamplingParams params(
      double temperature, double topP, int topK, double minP, long seed) {
    return new SamplingParams(
        9, 0, temperature, topP, topK, minP, seed, List.of(), List.of(), 0, 0, 1, -1, false);
  }
}
