package io.shadowbatch.schedule;

import io.shadowbatch.request.Request;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Predicts how many tokens a request will generate: what 70 % of the latest finished ones with the
 * same limit did not exceed, and at first its limit or {@value #FIRST} tokens.
 */
final class OutputLengths {
  private static final int FIRST = 128;
  private static final int LATEST = 256;
  private static final int ENOUGH = 16;
  private static final double QUANTILE = 0.7;

  /** A job has one limit, or some; where each row has its own, none is worth keeping. */
  private static final int LIMITS_MAX = 64;

  /** The latest lengths under one limit. */
  private static final class Latest {
    private final int[] lengths = new int[LATEST];
    private int count;
    private int quantile;

    void add(int length) {
      lengths[count++ % LATEST] = length;
      if (count % ENOUGH != 0) return;
      int[] sorted = Arrays.copyOf(lengths, Math.min(count, LATEST));
      Arrays.sort(sorted);
      quantile = sorted[(int) Math.ceil(QUANTILE * sorted.length) - 1];
    }
  }

  private final Map<Integer, Latest> byLimit = new HashMap<>();

  void finished(Request request, int generated) {
    int limit = request.params().maxTokens();
    if (byLimit.size() >= LIMITS_MAX && !byLimit.containsKey(limit)) return;
    byLimit.computeIfAbsent(limit, l -> new Latest()).add(generated);
  }

  /** Tokens that a sequence has yet to generate: at least one while it is not at its limit. */
  int remaining(Sequence s) {
    int limit = s.request().params().maxTokens();
    Latest latest = byLimit.get(limit);
    int predicted = latest == null || latest.count < ENOUGH ? FIRST : latest.quantile;
    // Past the prediction, the longer it has lasted, the longer it will.
    int more = s.generated() < predicted ? predicted - s.generated() : 1 + s.generated() / 2;
    return Math.max(0, Math.min(more, limit - s.generated()));
  }
}
