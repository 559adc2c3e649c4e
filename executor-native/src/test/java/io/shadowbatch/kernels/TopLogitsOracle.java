package io.shadowbatch.kernels;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** Answers queries about a row as their definition reads, by sorting. */
public final class TopLogitsOracle {
  private TopLogitsOracle() {}

  /** The row after the query's edits. */
  public static float[] edited(float[] row, LogitQuery.Edits edits) {
    float[] x = row.clone();
    for (int i = 0; i < edits.ids().length; i++) {
      int id = edits.ids()[i];
      double logit = x[id];
      double by = edits.factor();
      float minus = edits.minus()[i];
      x[id] = (float) (logit > 0 ? logit / by : logit * by) - minus;
      if (minus == Float.POSITIVE_INFINITY) x[id] = Float.NEGATIVE_INFINITY;
    }
    return x;
  }

  public static TopLogits answer(float[] row, LogitQuery query) {
    float[] x = edited(row, query.edits());
    float[] rising = x.clone();
    Arrays.sort(rising); // what is not a number comes last
    int numbers = rising.length;
    while (numbers > 0 && Float.isNaN(rising[numbers - 1])) numbers--;
    int n = Math.min(numbers, TopLogits.MOST);
    float least = n == 0 ? Float.NaN : rising[numbers - n];
    int[] ids =
        IntStream.range(0, x.length)
            .filter(i -> x[i] >= least)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> -(x[i] + 0.0)))
            .mapToInt(i -> i)
            .limit(n)
            .toArray();
    float[] logits = new float[n];
    for (int i = 0; i < n; i++) logits[i] = x[ids[i]];
    double mass = 0;
    float floor = n == 0 ? Float.NaN : (float) (logits[0] - query.depth());
    for (float logit : x) {
      if (logit >= floor) mass += Math.exp(((double) logit - logits[0]) * query.scale());
    }
    return new TopLogits(ids, logits, numbers <= TopLogits.MOST, mass, x.length);
  }
}
