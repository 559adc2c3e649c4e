package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class RowCostTest {

  private static final RowCost COST = new RowCost(4, 2, 100, 0);

  private static PlanRow row(String prompt, String key, int outputTokens, int samples) {
    byte[] bytes = prompt.getBytes(StandardCharsets.UTF_8);
    return new PlanRow(PrefixSignature.of(bytes), key, bytes.length, outputTokens, samples);
  }

  /** Goal: new prompt tokens and expected tokens of all answers are what costs. */
  @Test
  void promptAndAnswers() {
    PlanRow row = row("p".repeat(800), "k", 30, 3);
    assertThat(COST.of(row, null)).isEqualTo(100 * (200 + 2 * 30 * 3));
    assertThat(COST.ofAnswers(row("p", "k", 5_000, 1))).isEqualTo(100 * 2 * 100);
  }

  /** Goal: blocks that the row before has are there; a whole prompt that it has is there whole. */
  @Test
  void whatTheRowBeforeHasIsFree() {
    PlanRow before = row("p".repeat(600) + "a", "k", 30, 1);
    PlanRow row = row("p".repeat(600) + "b", "l", 30, 1);
    assertThat(row.sharedBytes(before)).isEqualTo(512);
    assertThat(COST.of(row, before)).isEqualTo(COST.of(row, null) - 100 * 512 / 4);
    PlanRow other = row("p".repeat(600) + "a", "m", 30, 1);
    assertThat(COST.of(other, before)).isEqualTo(COST.ofAnswers(other));
    assertThat(other.repeats(before)).isFalse();
  }

  /** Goal: a copied answer is free, a computed one is not. */
  @Test
  void repeatsCostAsTheyAreAnswered() {
    PlanRow row = row("p".repeat(600), "k", 30, 2);
    PlanRow again = row("p".repeat(600), "k", 30, 2);
    assertThat(COST.of(again, row)).isZero();
    assertThat(COST.withRepeated(1).of(again, row)).isEqualTo(COST.ofAnswers(row));
  }

  /** Goal: constants that mean nothing are refused. */
  @Test
  void wrongConstants() {
    assertThatThrownBy(() -> new RowCost(0, 2, 100, 0)).hasMessageContaining("got 0.0, 2.0, 100");
    assertThatThrownBy(() -> new RowCost(4, -1, 100, 0)).hasMessageContaining("got 4.0, -1.0");
    assertThatThrownBy(() -> new RowCost(4, 1, -1, 0)).hasMessageContaining("got 4.0, 1.0, -1");
    assertThatThrownBy(() -> COST.withRepeated(Double.NaN)).hasMessageContaining("NaN");
  }
}
