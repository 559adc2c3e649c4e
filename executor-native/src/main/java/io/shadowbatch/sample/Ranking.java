package io.shadowbatch.sample;

import java.util.Arrays;

/** Token ids by falling logit, equal logits by rising id. Used by one thread. */
final class Ranking {
  private long[] keys = new long[256];

  /**
   * Ranks the tokens whose logit is at least {@code floor}, at most {@code limit} of them; returns
   * how many. NaN never ranks.
   */
  int rank(float[] logits, float floor, int limit) {
    int count = 0;
    for (int i = 0; i < logits.length; i++) {
      if (!(logits[i] >= floor)) continue;
      if (count == keys.length) {
        count = limit < count / 4 ? keepBest(count, limit) : count;
        if (count == keys.length) keys = Arrays.copyOf(keys, 2 * count);
      }
      keys[count++] = key(logits[i], i);
    }
    Arrays.sort(keys, 0, count);
    return Math.min(count, limit);
  }

  private int keepBest(int count, int limit) {
    Arrays.sort(keys, 0, count);
    return Math.min(count, limit);
  }

  /** Token at a rank. */
  int id(int rank) {
    return (int) keys[rank];
  }

  /** Rises as the logit falls, then as the id rises. */
  private static long key(float logit, int id) {
    int bits = Float.floatToIntBits(logit == 0 ? 0f : logit);
    int rising = bits ^ (bits >> 31 & 0x7fffffff);
    return (long) ~rising << 32 | id;
  }
}
