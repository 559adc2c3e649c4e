package io.shadowbatch.engine;

import java.io.Serializable;
import java.util.function.ToDoubleFunction;

/**
 * What steps cost on a machine with a model, in seconds: so much for any step (its weights are read
 * once), for each token, for each row of logits, and for each pair of a token and one that it
 * attends to. Pairs of tokens that read the same keys in one step, as those of a prompt or of
 * sequences behind one prefix do, cost less than those of tokens that read their own.
 *
 * @param base of a step
 * @param token of a computed token
 * @param logit of a row of logits, with what a token costs more where few are computed
 * @param batchedPair of a pair whose keys several tokens read in one step
 * @param lonePair of a pair whose keys one token reads
 */
public record StepCosts(
    double base, double token, double logit, double batchedPair, double lonePair)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /**
   * What some steps do.
   *
   * @param tokens computed, of prompts and completions
   * @param logits rows of logits, one for each completion token
   * @param batchedPairs of a computed token and a token that others attend to in the same step
   * @param lonePairs of a computed token and a token that it attends to alone
   */
  public record Work(
      double steps, double tokens, double logits, double batchedPairs, double lonePairs) {

    /**
     * The work of a prompt of which the first {@code reused} tokens are there, but its steps. What
     * is reused is taken to be read by several, and what is not by the sequence alone.
     */
    public static Work of(double reused, double prompt, double completion) {
      double last = Math.max(0, completion - 1); // the last token is never an input
      double own = prompt - reused;
      double batched = own * (prompt + reused + 1) / 2 + last * reused;
      double lone = last * (2 * own + last + 1) / 2;
      return new Work(0, own + last, completion, batched, lone);
    }

    /** Both. */
    public Work plus(Work other) {
      return new Work(
          steps + other.steps,
          tokens + other.tokens,
          logits + other.logits,
          batchedPairs + other.batchedPairs,
          lonePairs + other.lonePairs);
    }

    /** The same in so many steps. */
    public Work inSteps(double count) {
      return new Work(count, tokens, logits, batchedPairs, lonePairs);
    }
  }

  /** A measured step. */
  record Measured(Work work, double seconds) {
    private double less(double batchedPair, double lonePair) {
      return seconds - work.batchedPairs() * batchedPair - work.lonePairs() * lonePair;
    }
  }

  /** Seconds that the work takes. */
  public double seconds(Work work) {
    return base * work.steps()
        + token * work.tokens()
        + logit * work.logits()
        + batchedPair * work.batchedPairs()
        + lonePair * work.lonePairs();
  }

  /**
   * Steps of which the costs are found.
   *
   * @param one a token that decodes
   * @param few tokens of as many sequences that decode
   * @param deep the same, each behind more
   * @param many so many that their products, not the weights, take the time
   * @param prompt the start of a prompt
   * @param later as many tokens of a prompt, behind others
   */
  record Probes(
      Measured one, Measured few, Measured deep, Measured many, Measured prompt, Measured later) {}

  /** The costs that explain steps exactly, where no cost comes out below zero. */
  static StepCosts through(Probes p) {
    double batched = slope(p.later(), p.prompt(), Work::batchedPairs);
    double lone = slope(p.deep(), p.few(), Work::lonePairs);
    double first = p.one().less(batched, lone);
    double tokens = p.prompt().work().tokens() - 1;
    double token = Math.max(0, (p.prompt().less(batched, lone) - first) / tokens);
    double both = (p.many().less(batched, lone) - first) / (p.many().work().tokens() - 1);
    double logit = Math.max(0, both - token);
    return new StepCosts(Math.max(0, first - token - logit), token, logit, batched, lone);
  }

  private static double slope(Measured more, Measured less, ToDoubleFunction<Work> count) {
    double pairs = count.applyAsDouble(more.work()) - count.applyAsDouble(less.work());
    return Math.max(0, (more.seconds() - less.seconds()) / pairs);
  }
}
