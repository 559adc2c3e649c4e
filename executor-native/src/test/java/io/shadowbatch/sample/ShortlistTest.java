package io.shadowbatch.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.kernels.TopLogitsOracle;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ShortlistTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);
  private final Sampler sampler = new Sampler();
  private final Shortlist shortlist = new Shortlist();

  /** Goal: the token is the sampler's or left open, wherever the true mass lies in its bounds. */
  @Test
  void aChoiceFromTheLargestLogitsIsTheSamplersOrLeftOpen() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Choices choices = new Choices(SEED);
    Random random = new Random(SEED);
    int open = 0;
    int cases = 6000;
    for (int i = 0; i < cases; i++) {
      int vocabulary = new int[] {1, 7, 255, 257, 700, 3000}[random.nextInt(6)];
      float[] logits = choices.logits(vocabulary);
      SamplingParams params = choices.params();
      Sampler.Past past = choices.past(vocabulary);
      LogitQuery query = Shortlist.query(0, params, past, vocabulary);
      TopLogits exact = TopLogitsOracle.answer(logits, query);
      TopLogits top =
          new TopLogits(
              exact.ids(),
              exact.logits(),
              exact.complete(),
              exact.mass() * (1 + (random.nextDouble() - 0.5) * 0x1p-20),
              vocabulary);
      int chosen = shortlist.choose(top, params, past.step());
      if (chosen == Shortlist.OPEN) {
        open++;
        continue;
      }
      assertThat(chosen)
          .as("case %d of seed %d, %s", i, SEED, params)
          .isEqualTo(sampler.choose(logits, params, past));
    }
    System.out.printf("%d of %d choices left open%n", open, cases);
    assertThat(open).isBetween(1, cases / 5);
  }

  /** Goal: what the row alone can tell is not guessed. */
  @Test
  void drawsBeyondTheLargestAreLeftOpen() {
    float[] flat = new float[4000];
    for (int i = 0; i < flat.length; i++) flat[i] = -i * 1e-4f;
    int open = 0;
    for (int seed = 0; seed < 200; seed++) {
      SamplingParams params = params(1, 1, 0, seed);
      Sampler.Past past = new Sampler.Past(new int[] {0}, 1, 1, new int[0]);
      TopLogits top = TopLogitsOracle.answer(flat, Shortlist.query(0, params, past, flat.length));
      int chosen = shortlist.choose(top, params, 0);
      int want = sampler.choose(flat.clone(), params, past);
      assertThat(chosen).isEqualTo(want < TopLogits.MOST ? want : Shortlist.OPEN);
      if (chosen == Shortlist.OPEN) open++;
    }
    assertThat(open).isBetween(150, 199);
    TopLogits tied = new TopLogits(new int[0], new float[0], false, 4000, 4000);
    assertThat(shortlist.choose(tied, params(1, 1, 0, 1), 0)).isEqualTo(Shortlist.OPEN);
    TopLogits none = new TopLogits(new int[0], new float[0], true, 0, 4000);
    assertThat(shortlist.choose(none, params(1, 1, 0, 1), 0)).isEqualTo(-1);
  }

  @Test
  void logprobsAreTheSamplersAndOfOneOutsideAreNotGuessed() {
    Choices choices = new Choices(SEED);
    for (int i = 0; i < 200; i++) {
      float[] logits = choices.logits(1500);
      TopLogits top = TopLogitsOracle.answer(logits, Shortlist.query(0));
      int chosen = top.ids()[i];
      TokenLogprob want = sampler.logprob(logits, chosen, i % 21);
      TokenLogprob got = Shortlist.logprob(top, chosen, i % 21);
      assertThat(got.tokenId()).isEqualTo(chosen);
      assertThat(got.logprob()).isCloseTo(want.logprob(), within(1e-6));
      assertThat(got.top()).hasSameSizeAs(want.top());
      for (int j = 0; j < want.top().size(); j++) {
        assertThat(got.top().get(j).tokenId()).isEqualTo(want.top().get(j).tokenId());
        assertThat(got.top().get(j).logprob()).isCloseTo(want.top().get(j).logprob(), within(1e-6));
      }
    }
    float[] rising = new float[1500];
    for (int i = 0; i < rising.length; i++) rising[i] = i;
    TopLogits top = TopLogitsOracle.answer(rising, Shortlist.query(0));
    assertThat(Shortlist.logprob(top, 3, 2)).isNull();
  }

  private static SamplingParams params(double temperature, double topP, int topK, long seed) {
    return new SamplingParams(
        9, 0, temperature, topP, topK, 0, seed, List.of(), List.of(), 0, 0, 1, -1, false);
  }
}
