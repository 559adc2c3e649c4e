package io.shadowbatch.sample;

import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What {@link Sampler} does with a whole row, done with its largest logits where these decide: the
 * tokens are the same. Used by one thread.
 */
public final class Shortlist {
  /** The largest logits leave the choice open: it takes the row. */
  public static final int OPEN = -2;

  private final Ranking ranking = new Ranking();

  /** What to ask about a row before {@link #choose}. */
  public static LogitQuery query(
      int row, SamplingParams params, Sampler.Past past, int vocabulary) {
    LogitQuery.Edits edits = Penalties.edits(params, past, vocabulary);
    if (params.greedy()) return new LogitQuery(row, 1, 0, edits);
    return new LogitQuery(row, Draw.scale(params), Draw.depth(params), edits);
  }

  /** What to ask about a row before {@link #logprob}. */
  public static LogitQuery query(int row) {
    return new LogitQuery(row, 1, Draw.CUTOFF, LogitQuery.Edits.NONE);
  }

  /**
   * The token that {@link Sampler#choose} would choose, -1 if no logit is a number, or {@link
   * #OPEN}.
   *
   * @param top the answer to the query of the same row, parameters and past
   * @param step index of the token to be chosen, counted from the first generated one
   */
  public int choose(TopLogits top, SamplingParams params, int step) {
    if (top.count() == 0) return top.complete() ? -1 : OPEN;
    if (params.greedy()) return top.ids()[0];
    Draw draw = Draw.of(params, top.logits()[0], step);
    if (!Float.isFinite(draw.top()) || !Float.isFinite(draw.scale())) return OPEN;
    ranking.set(top);
    int possible = 0;
    while (possible < top.count() && top.logits()[possible] >= draw.floor()) possible++;
    boolean all = top.complete() || possible < top.count();
    int limit = params.topK();
    if (limit > 0 && limit < top.columns()) {
      if (limit > possible && !all) return OPEN;
      int count = Math.min(limit, possible);
      return id(draw.walk(ranking, count, draw.mass(ranking, count), true));
    }
    if (all) return id(draw.walk(ranking, possible, massById(top, draw, possible), true));
    int rank = between(top, draw);
    return rank < 0 ? OPEN : id(rank);
  }

  /**
   * The rank to which all weights lead that the nucleus may have, or -1. The sum of all weights in
   * the order of their ids, which is the sampler's, lies between two bounds, and so does the
   * nucleus; where its end is not ranked, its last token weighs no more than the last ranked one.
   */
  private int between(TopLogits top, Draw draw) {
    int n = top.count();
    double least = top.massLow() * draw.topP();
    double low = Math.max(least, draw.nucleus(ranking, n, top.massLow()));
    double most = top.massHigh() * draw.topP();
    double high = draw.nucleus(ranking, n, top.massHigh());
    if (high < most) high = most + draw.weight(ranking.logit(n - 1));
    int rank = draw.rank(ranking, n, low);
    return rank == draw.rank(ranking, n, high) ? rank : -1;
  }

  private int id(int rank) {
    return ranking.id(rank);
  }

  /** Sum of the weights of the first ranks, in the order of their ids. */
  private static double massById(TopLogits top, Draw draw, int count) {
    long[] byId = new long[count];
    for (int i = 0; i < count; i++) byId[i] = (long) top.ids()[i] << 32 | i;
    Arrays.sort(byId);
    double sum = 0;
    for (long i : byId) sum += draw.weight(top.logits()[(int) i]);
    return sum;
  }

  /**
   * As {@link Sampler#logprob} within 1e-6, or null if that takes the row.
   *
   * @param top the answer to {@link #query(int)}
   */
  public static TokenLogprob logprob(TopLogits top, int chosen, int alternatives) {
    int rank = 0;
    while (rank < top.count() && top.ids()[rank] != chosen) rank++;
    boolean ranked = rank < top.count() && (top.complete() || alternatives <= top.count());
    if (!ranked || !Float.isFinite(top.logits()[0])) return null;
    double norm = top.logits()[0] + StrictMath.log(top.mass());
    List<TokenLogprob.Alternative> best = new ArrayList<>(alternatives);
    for (int i = 0; i < Math.min(alternatives, top.count()); i++) {
      best.add(new TokenLogprob.Alternative(top.ids()[i], top.logits()[i] - norm));
    }
    return new TokenLogprob(chosen, top.logits()[rank] - norm, best);
  }
}
