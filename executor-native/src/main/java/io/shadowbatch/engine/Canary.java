package io.shadowbatch.engine;

import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;

/**
 * Measures what reading prompts in part costs: a sample of the shadow requests is answered a second
 * time with all keys and values, the first answer's tokens taken as given, and the two models'
 * probabilities are compared. Past a limit later requests are read exactly.
 *
 * <p>The first answer is held back until the comparison is done, so that a job's last rows count.
 */
final class Canary {
  /** Requests that are compared whatever their share. */
  static final int ROWS_LEAST = 32;

  /** One of so many is compared behind those. */
  private static final int ONE_OF = 100;

  /** Rows under way: each keeps logits, some 100 KB a token. */
  private static final int AT_ONCE = 32;

  private long requests;
  private long begun;
  private int underWay;
  private long rows;
  private long positions;
  private long agreed;
  private double klSum;

  /** A shadow request arrives: what watches its answer, or null if it is not of the sample. */
  CanaryRow arrived() {
    requests++;
    boolean wanted = begun < ROWS_LEAST || begun * ONE_OF < requests;
    if (!wanted || underWay == AT_ONCE) return null;
    begun++;
    underWay++;
    return new CanaryRow();
  }

  /** The request whose answer is compared with a watched one. */
  static Request twin(Request request, CanaryRow row) {
    int tokens = row.tokens();
    SamplingParams g = SamplingParams.GREEDY;
    SamplingParams forced =
        new SamplingParams(
            tokens,
            tokens,
            0,
            1,
            0,
            0,
            0,
            g.stop(),
            g.stopTokenIds(),
            g.presencePenalty(),
            g.frequencyPenalty(),
            g.repetitionPenalty(),
            -1,
            true);
    return new Request(request.id(), request.tokens(), forced, KvMode.DENSE);
  }

  /** A row was compared, or given up. */
  void ended(CanaryRow row) {
    underWay--;
    if (row.positions() == 0) return;
    rows++;
    positions += row.positions();
    agreed += row.agreed();
    klSum += row.klSum();
  }

  /** True if what was compared is too far apart to go on. */
  boolean exceeded() {
    return metrics().exceeded();
  }

  CanaryMetrics metrics() {
    long n = Math.max(1, positions);
    return new CanaryMetrics(rows, positions, klSum / n, agreed / (double) n);
  }
}
