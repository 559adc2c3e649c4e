package io.shadowbatch.engine;

import io.shadowbatch.kernels.ReferenceMath;
import io.shadowbatch.request.Completion;
import java.util.ArrayList;
import java.util.List;

/** A watched answer's tokens and logits, then what an exact computation makes of them. */
final class CanaryRow {
  /** Tokens that are kept of an answer: all but the first take a vocabulary of halves each. */
  static final int TOKENS_MOST = 17;

  private final List<short[]> logits = new ArrayList<>();
  private final List<Integer> tokens = new ArrayList<>();
  private Completion answer;
  private int positions;
  private int agreed;
  private double klSum;

  /** The watched answer's next token, with its logits. */
  void keep(int token, float[] row) {
    if (tokens.size() == TOKENS_MOST) return;
    tokens.add(token);
    // The first token's logits come from the prompt's last row, which reads everything.
    logits.add(tokens.size() == 1 ? null : halves(row));
  }

  /** Tokens kept. */
  int tokens() {
    return tokens.size();
  }

  /** True if there is something to compare. */
  boolean comparable() {
    return tokens.size() > 1;
  }

  /** Holds the answer back. */
  void hold(Completion completion) {
    answer = completion;
  }

  /** The answer that was held back, or null. */
  Completion held() {
    return answer;
  }

  /** Compares the exact logits of position {@code index}; the token to go on with. */
  int replay(int index, float[] exact) {
    short[] halves = logits.set(index, null);
    if (halves != null) {
      float[] kept = floats(halves);
      positions++;
      klSum += divergence(exact, kept);
      agreed += top(exact) == top(kept) ? 1 : 0;
    }
    return tokens.get(index);
  }

  /** A half holds a logit within a two-thousandth of it. */
  private static short[] halves(float[] row) {
    short[] result = new short[row.length];
    for (int i = 0; i < row.length; i++) result[i] = ReferenceMath.toHalf(row[i]);
    return result;
  }

  private static float[] floats(short[] halves) {
    float[] result = new float[halves.length];
    for (int i = 0; i < halves.length; i++) result[i] = ReferenceMath.fromHalf(halves[i]);
    return result;
  }

  int positions() {
    return positions;
  }

  int agreed() {
    return agreed;
  }

  double klSum() {
    return klSum;
  }

  /** KL(softmax p || softmax q) in nats. */
  static double divergence(float[] p, float[] q) {
    double pTop = p[top(p)];
    double qTop = q[top(q)];
    double pSum = 0;
    double qSum = 0;
    for (int i = 0; i < p.length; i++) {
      pSum += Math.exp(p[i] - pTop);
      qSum += Math.exp(q[i] - qTop);
    }
    double shift = qTop + Math.log(qSum) - pTop - Math.log(pSum);
    double kl = 0;
    for (int i = 0; i < p.length; i++) {
      kl += Math.exp(p[i] - pTop) / pSum * ((double) p[i] - q[i] + shift);
    }
    return Math.max(0, kl);
  }

  private static int top(float[] x) {
    int top = 0;
    for (int i = 1; i < x.length; i++) if (x[i] > x[top]) top = i;
    return top;
  }
}
