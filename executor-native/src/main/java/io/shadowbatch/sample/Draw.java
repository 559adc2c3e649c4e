package io.shadowbatch.sample;

import io.shadowbatch.kernels.ReferenceMath;
import io.shadowbatch.request.SamplingParams;

/**
 * One draw: what tokens weigh beside the most likely one, and where a uniform number falls among
 * them.
 *
 * @param top the largest logit
 * @param floor logits below it are impossible
 * @param uniform in [0, 1)
 */
record Draw(float top, float scale, float floor, double topP, double uniform) {
  /** Tokens that much below the best, in units of temperature, count as impossible: e^-40. */
  static final double CUTOFF = 40;

  static Draw of(SamplingParams params, float top, int step) {
    float floor = (float) (top - depth(params));
    double uniform = Sampler.uniform(params.seed(), step);
    return new Draw(top, scale(params), floor, params.topP(), uniform);
  }

  /** What a logit's distance from the largest is multiplied with. */
  static float scale(SamplingParams params) {
    return (float) (1 / params.temperature());
  }

  /** How far below the largest a logit is possible. */
  static double depth(SamplingParams params) {
    double width = CUTOFF;
    if (params.minP() > 0) width = Math.min(CUTOFF, -StrictMath.log(params.minP()));
    return width * params.temperature();
  }

  float weight(float logit) {
    return ReferenceMath.exp((logit - top) * scale);
  }

  /** Sum of the weights of the first ranks, in their order. */
  double mass(Ranking ranking, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += weight(ranking.logit(i));
    return sum;
  }

  /**
   * The rank that the uniform number points at, or -1 if it lies beyond the ranked ones.
   *
   * @param total weight of all possible tokens
   * @param all whether all of them are ranked
   */
  int walk(Ranking ranking, int count, double total, boolean all) {
    double nucleus = nucleus(ranking, count, total);
    if (nucleus < total * topP && !all) return -1;
    int rank = rank(ranking, count, nucleus);
    return rank < 0 && all ? count - 1 : rank;
  }

  /**
   * Weight of the tokens to draw from: of the fewest first ranks that reach top-p of the total, or
   * of all ranks if these do not. Never falls as the total grows.
   */
  double nucleus(Ranking ranking, int count, double total) {
    if (topP == 1) return total;
    double sum = 0;
    int kept = 0;
    while (kept < count && sum < total * topP) sum += weight(ranking.logit(kept++));
    return sum;
  }

  /**
   * The rank that the uniform number points at, -1 for beyond; never falls as the nucleus grows.
   */
  int rank(Ranking ranking, int count, double nucleus) {
    double goal = uniform * nucleus;
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += weight(ranking.logit(i));
      if (goal < sum) return i;
    }
    return -1;
  }
}
