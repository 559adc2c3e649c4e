package io.shadowbatch.eval;

import java.util.List;

/**
 * Requests about one beginning.
 *
 * @param trunk tokens that all begin with; computed once; may be empty
 * @param asks in order
 */
record EvalCase(int[] trunk, List<Ask> asks) {

  /** Where the tokens behind a prompt come from. */
  enum Continuation {
    /** From the text. */
    KNOWN,
    /** Drawn from the dense run's distribution, ends of text included. */
    DRAWN,
    /** The dense run's most likely ones, up to its end of text. */
    LIKELY,
    /** Each run's own most likely ones; compared as long as they are the dense run's. */
    OWN
  }

  /**
   * One request. Row i behind its prompt feeds token i of the answer; the answer's first token
   * comes from the prompt's last row, which no policy reads sparsely.
   *
   * @param tokens behind the trunk
   * @param rows most rows behind the prompt
   * @param known tokens of {@link Continuation#KNOWN}, as many as rows; else null
   * @param key of {@link Continuation#OWN}; else null
   * @param after with the request and the dense answer before it joins the trunk; or null
   */
  record Ask(int[] tokens, int rows, Continuation from, int[] known, AnswerKey key, int[] after) {}

  /** Tokens of the longest request with its answer. */
  int longest() {
    int trunkTokens = trunk.length;
    int most = trunkTokens;
    for (Ask ask : asks) {
      most = Math.max(most, trunkTokens + ask.tokens.length + ask.rows);
      if (ask.after != null) trunkTokens += ask.tokens.length + ask.rows + ask.after.length;
      most = Math.max(most, trunkTokens);
    }
    return most;
  }
}
