package io.shadowbatch.engine;

/**
 * What steps cost on a machine with a model, in seconds: so much for any step (its weights are read
 * once), for each token, for each row of logits, and for each pair of a token and one that it
 * attends to. Steps that read shared pages together cost less than their pairs say.
 */
public record StepCosts(double base, double token, double logit, double pair) {

  /**
   * What some steps do.
   *
   * @param tokens computed, of prompts and completions
   * @param logits rows of logits, one for each completion token
   * @param pairs of a computed token and a token that it attends to, itself included
   */
  public record Work(double steps, double tokens, double logits, double pairs) {

    /** The work of a prompt of which the first {@code reused} tokens are there, but its steps. */
    public static Work of(double reused, double prompt, double completion) {
      double last = Math.max(0, completion - 1); // the last token is never an input
      double pairs = (prompt - reused) * (prompt + reused + 1) / 2;
      pairs += last * (2 * prompt + last + 1) / 2;
      return new Work(0, prompt - reused + last, completion, pairs);
    }

    /** Both. */
    public Work plus(Work other) {
      return new Work(
          steps + other.steps, tokens + other.tokens, logits + other.logits, pairs + other.pairs);
    }

    /** The same in so many steps. */
    public Work inSteps(double count) {
      return new Work(count, tokens, logits, pairs);
    }
  }

  /** A measured step. */
  record Measured(Work work, double seconds) {
    private double withoutPairs(double pair) {
      return seconds - work.pairs() * pair;
    }
  }

  /** Seconds that the work takes. */
  public double seconds(Work work) {
    return base * work.steps()
        + token * work.tokens()
        + logit * work.logits()
        + pair * work.pairs();
  }

  /**
   * The costs that explain four steps exactly, where no cost comes out below zero.
   *
   * @param one a token that decodes
   * @param many tokens of as many sequences that decode
   * @param prompt the start of a prompt
   * @param later as many tokens of a prompt, behind others
   */
  static StepCosts through(Measured one, Measured many, Measured prompt, Measured later) {
    double pairs = later.work().pairs() - prompt.work().pairs();
    double pair = Math.max(0, (later.seconds() - prompt.seconds()) / pairs);
    double first = one.withoutPairs(pair);
    double token = Math.max(0, (prompt.withoutPairs(pair) - first) / (prompt.work().tokens() - 1));
    double both = (many.withoutPairs(pair) - first) / (many.work().tokens() - 1);
    double logit = Math.max(0, both - token);
    return new StepCosts(Math.max(0, first - token - logit), token, logit, pair);
  }
}
