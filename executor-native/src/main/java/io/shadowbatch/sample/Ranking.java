package io.shadowbatch.sample;

import io.shadowbatch.kernels.TopLogits;
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

  /** Takes over a ranking that was made elsewhere. */
  void set(TopLogits top) {
    if (keys.length < top.count()) keys = new long[top.count()];
    for (int i = 0; i < top.count(); i++) keys[i] = key(top.logits()[i], top.ids()[i]);
  }

  /** Token at a rank. */
  int id(int rank) {
    return (int) keys[rank];
  }

  /** Logit at a rank; zeros of either sign are 0. */
  float logit(int rank) {
    int rising = ~(int) (keys[rank] >> 32);
    return Float.intBitsToFloat(rising ^ (rising >> 31 & 0x7fffffff));
  }

  /** Rises as the logit falls, then as the id rises. */
  private static long key(float logit, int id) {
    int bits = Float.floatToIntBits(logit == 0 ? 0f : logit);
    int rising = bits ^ (bits >> 31 & 0x7fffffff);
    return (long) ~rising << 32 | id;
  }
}
