package io.shadowbatch.sample;

import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import java.util.ArrayList;
import java.util.List;

/**
 * Chooses tokens from a row of logits. The choice depends on the logits, the request's parameters,
 * its own tokens and its own random numbers, never on other requests. Used by one thread.
 *
 * <p>Order: penalties, forbidden tokens, temperature, top-k, min-p, top-p, then one uniform number
 * walks the remaining tokens from the most likely on; equal logits rank by token id.
 */
public final class Sampler {
  private static final int FIRST_RANKS = 128;

  private final Ranking ranking = new Ranking();

  /**
   * What a choice depends on besides the logits.
   *
   * @param tokens the prompt and what was generated, valid in [0, length)
   * @param promptLength how many of them are the prompt
   * @param forbidden token ids that cannot be chosen now
   */
  public record Past(int[] tokens, int length, int promptLength, int[] forbidden) {
    /** Index of the token to be chosen, counted from the first generated one. */
    public int step() {
      return length - promptLength;
    }
  }

  /** Index of the chosen token, or -1 if no logit is a number. {@code logits} is used up. */
  public int choose(float[] logits, SamplingParams params, Past past) {
    if (params.penalised()) Penalties.apply(logits, params, past);
    for (int id : past.forbidden()) {
      if (id >= 0 && id < logits.length) logits[id] = Float.NEGATIVE_INFINITY;
    }
    int best = best(logits);
    if (best < 0 || params.greedy()) return best;
    return draw(logits, Draw.of(params, logits[best], past.step()), params.topK());
  }

  private static int best(float[] logits) {
    int best = -1;
    for (int i = 0; i < logits.length; i++) {
      if (best < 0 ? logits[i] >= Float.NEGATIVE_INFINITY : logits[i] > logits[best]) best = i;
    }
    return best;
  }

  private int draw(float[] logits, Draw draw, int topK) {
    int limit = topK == 0 ? logits.length : topK;
    double total = limit < logits.length ? -1 : mass(logits, draw);
    // Nearly always the token is among the first few: rank no more than the walk needs.
    for (int ranks = Math.min(limit, FIRST_RANKS); ; ranks = limit) {
      int count = ranking.rank(logits, draw.floor(), ranks);
      if (total < 0 && ranks == limit) total = draw.mass(ranking, count);
      boolean all = ranks == limit || count < ranks;
      if (total >= 0) {
        int rank = draw.walk(ranking, count, total, all);
        if (rank >= 0) return ranking.id(rank);
      }
    }
  }

  /** Sum of weights of all tokens at or above the floor, in id order. */
  private static double mass(float[] logits, Draw draw) {
    double sum = 0;
    for (float logit : logits) {
      if (logit >= draw.floor()) sum += draw.weight(logit);
    }
    return sum;
  }

  /**
   * Log-probability of {@code chosen} and of the {@code top} most likely tokens under unchanged
   * logits.
   */
  public TokenLogprob logprob(float[] logits, int chosen, int top) {
    int best = best(logits);
    if (best < 0) return new TokenLogprob(chosen, Double.NaN, List.of());
    double sum = 0;
    for (float logit : logits) {
      double below = (double) logit - logits[best];
      if (below > -Draw.CUTOFF) sum += StrictMath.exp(below);
    }
    double norm = logits[best] + StrictMath.log(sum);
    List<TokenLogprob.Alternative> alternatives = new ArrayList<>(top);
    int count = top == 0 ? 0 : ranking.rank(logits, Float.NEGATIVE_INFINITY, top);
    for (int i = 0; i < count; i++) {
      int id = ranking.id(i);
      alternatives.add(new TokenLogprob.Alternative(id, logits[id] - norm));
    }
    return new TokenLogprob(chosen, logits[chosen] - norm, alternatives);
  }

  /**
   * A number in [0, 1) from a request's seed and the index of the token: SplitMix64 (Steele, Lea
   * and Flood 2014) on their mix.
   */
  static double uniform(long seed, int step) {
    long z = mix(seed + 0x9e3779b97f4a7c15L) + (step + 1) * 0x9e3779b97f4a7c15L;
    return (mix(z) >>> 11) * 0x1p-53;
  }

  private static long mix(long z) {
    z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }
}
