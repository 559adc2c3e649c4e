package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.TokenLogprob;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Compares greedy answers of two backends whose numbers differ by rounding: token by token, up to
 * the first that differs, which must be one that the expected answer was in doubt about.
 */
final class GreedyAgreement {
  private final double doubt;
  private int rows;
  private int tokens;
  private int tokensAlike;
  private int rowsAlike;
  private double widest;

  /**
   * @param doubt nats between the two best tokens below which either may be chosen
   */
  GreedyAgreement(double doubt) {
    this.doubt = doubt;
  }

  /**
   * @param expected with the two best tokens of each step
   */
  void compare(Map<Long, Completion> found, Map<Long, Completion> expected) {
    assertThat(found.keySet()).isEqualTo(expected.keySet());
    expected.forEach((id, row) -> compare(found.get(id), row));
  }

  private void compare(Completion found, Completion expected) {
    rows++;
    assertThat(found.error()).as("request %d", found.id()).isNull();
    int[] own = found.tokenIds();
    int[] other = expected.tokenIds();
    tokens += other.length;
    for (int i = 0; i < other.length; i++) {
      if (i < own.length && own[i] == other[i]) {
        tokensAlike++;
        continue;
      }
      double margin = margin(expected.logprobs().get(i));
      widest = Math.max(widest, margin);
      assertThat(margin).as("request %d, token %d: margin", found.id(), i).isLessThan(doubt);
      return;
    }
    rowsAlike++;
  }

  private static double margin(TokenLogprob step) {
    List<TokenLogprob.Alternative> top = step.top();
    return top.get(0).logprob() - top.get(1).logprob();
  }

  /** Rows of all that must be alike, so that doubt does not excuse everything. */
  void requireShare(String what, double least) {
    System.out.printf(
        Locale.ROOT,
        "%s: %d of %d answers alike, %d of %d tokens, widest doubt %.3f of %.3f%n",
        what,
        rowsAlike,
        rows,
        tokensAlike,
        tokens,
        widest,
        doubt);
    assertThat(rowsAlike).as("answers alike of %d", rows).isGreaterThan((int) (least * rows));
  }
}
