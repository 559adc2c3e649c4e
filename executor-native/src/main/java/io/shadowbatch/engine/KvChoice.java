package io.shadowbatch.engine;

import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.request.KvMode;
import java.io.Serializable;

/**
 * Chooses how a request's prompt is read, by what an answer's token is predicted to cost: a share
 * of the step, which is smaller the more sequences memory holds, and its attention.
 *
 * @param deviceBytes memory for keys and values
 * @param denseBytes of a token that is held whole
 * @param sparseBytes of a token of a prompt that is read in part
 */
public record KvChoice(
    StepCosts steps,
    ReadCosts reads,
    ShadowSpec spec,
    long deviceBytes,
    double denseBytes,
    double sparseBytes)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Below this gain an exact answer is worth more. */
  public static final double GAIN_LEAST = 1.3;

  /** More sequences hardly make a step's weights cheaper for each. */
  private static final double SEQUENCES_MOST = 64;

  /**
   * A request to choose for.
   *
   * @param promptTokens of its prompt
   * @param sharedTokens of these, those that its group begins with
   * @param groupRows requests of the group
   * @param newTokens expected answer
   */
  public record Asked(int promptTokens, int sharedTokens, int groupRows, int newTokens) {}

  /** The same with other memory for keys and values. */
  public KvChoice with(long bytes) {
    return new KvChoice(steps, reads, spec, bytes, denseBytes, sparseBytes);
  }

  /** The cheaper way, exact unless the other is cheaper by far. */
  public KvMode choose(Asked asked) {
    return gain(asked) >= GAIN_LEAST ? KvMode.SHADOW : KvMode.DENSE;
  }

  /** How many times as long a token of the answer takes if all is read; 1 if it has to be. */
  public double gain(Asked asked) {
    if (!spec.leavesOut(asked.promptTokens)) return 1;
    return tokenSeconds(asked, KvMode.DENSE) / tokenSeconds(asked, KvMode.SHADOW);
  }

  /** The same with as many sequences in a step either way. */
  public double gain(Asked asked, double sequences) {
    if (!spec.leavesOut(asked.promptTokens)) return 1;
    return tokenSeconds(asked, KvMode.DENSE, sequences)
        / tokenSeconds(asked, KvMode.SHADOW, sequences);
  }

  /** Predicted seconds of one token of the answer, in steps as large as memory allows. */
  public double tokenSeconds(Asked asked, KvMode mode) {
    double sequences = Math.max(1, deviceBytes / bytes(asked, mode));
    return tokenSeconds(asked, mode, Math.min(SEQUENCES_MOST, sequences));
  }

  private double tokenSeconds(Asked asked, KvMode mode, double sequences) {
    double own = steps.token() + steps.logit() + attentionSeconds(asked, mode);
    return steps.base() / sequences + own;
  }

  /** Predicted seconds of one token's attention, with the middle of its answer behind it. */
  public double attentionSeconds(Asked asked, KvMode mode) {
    int sparse = mode == KvMode.DENSE ? 0 : spec.sparseTokens(asked.promptTokens);
    double shared = Math.min(asked.sharedTokens, asked.promptTokens);
    double own = asked.promptTokens + asked.newTokens / 2.0 - shared;
    if (sparse == 0) return reads.dense(shared, asked.groupRows) + reads.dense(own, 1);
    double tail = asked.promptTokens + asked.newTokens / 2.0 - sparse;
    double rows = sparse <= shared ? asked.groupRows : 1 + (asked.groupRows - 1) * shared / sparse;
    return reads.sparse(spec, sparse, rows) + reads.dense(tail, 1);
  }

  /** Predicted device bytes of the request, its group's part shared among all. */
  public double bytes(Asked asked, KvMode mode) {
    double shared = Math.min(asked.sharedTokens, asked.promptTokens);
    double held = shared / asked.groupRows + asked.promptTokens - shared;
    int sparse = mode == KvMode.DENSE ? 0 : spec.sparseTokens(asked.promptTokens);
    double part = asked.promptTokens == 0 ? 0 : sparse / (double) asked.promptTokens;
    double prompt = held * (part * sparseBytes + (1 - part) * denseBytes);
    boolean slots = sparse > 0 && spec.lowRank();
    int read = slots ? (spec.budgetChunks() + spec.exactChunks()) * spec.chunkTokens() : 0;
    return Math.max(1, prompt + (asked.newTokens + read) * denseBytes);
  }
}
