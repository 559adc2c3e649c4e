package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.eval.AnswerKey.Marks;
import org.junit.jupiter.api.Test;

class SuiteResultTest {
  private static Tally tally(int right) {
    Tally tally = new Tally();
    tally.marks = new Marks(100, 100, right);
    tally.endCase();
    return tally;
  }

  private static SuiteResult result(String suite, int denseRight, int right) {
    return new SuiteResult(Suite.of(suite), "shadow", tally(right), tally(denseRight));
  }

  @Test
  void anExtractionThatLosesMoreThanTwoPointsFailsItsGate() {
    assertThat(result("json4k", 90, 88).failsGate()).isFalse();
    SuiteResult lost = result("json4k", 90, 87);
    assertThat(lost.failsGate()).isTrue();
    assertThat(lost.gate()).contains("json4k, shadow: 3.00 points of F1 lost, at most 2");
    assertThat(lost.json()).contains("\"gate_failed\": true");
  }

  @Test
  void otherSuitesAndTheDenseRunHaveNoGate() {
    assertThat(result("needle4k", 90, 50).failsGate()).isFalse();
    Tally dense = tally(50);
    assertThat(new SuiteResult(Suite.of("json4k"), "dense", dense, dense).failsGate()).isFalse();
  }
}
