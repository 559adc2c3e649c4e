package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class CanaryMetricsTest {

  /** Goal: either limit ends reading in part, but not before there is enough to judge by. */
  @Test
  void limitsAreThoseThatAreNamed() {
    long enough = CanaryMetrics.POSITIONS_LEAST;
    assertThat(new CanaryMetrics(2, enough, 0.03, 0.85).exceeded()).isFalse();
    assertThat(new CanaryMetrics(2, enough, 0.0301, 1).exceeded()).isTrue();
    assertThat(new CanaryMetrics(2, enough, 0, 0.849).exceeded()).isTrue();
    assertThat(new CanaryMetrics(2, enough - 1, 9, 0).exceeded()).isFalse();
  }

  /** Goal: means are weighed by positions, and taking away undoes adding. */
  @Test
  void meansAreWeighedByPositions() {
    CanaryMetrics few = new CanaryMetrics(1, 10, 0.4, 0.5);
    CanaryMetrics many = new CanaryMetrics(3, 90, 0.02, 0.9);
    CanaryMetrics both = few.plus(many);
    assertThat(both.rows()).isEqualTo(4);
    assertThat(both.positions()).isEqualTo(100);
    assertThat(both.klMean()).isCloseTo(0.058, within(1e-12));
    assertThat(both.agreement()).isCloseTo(0.86, within(1e-12));
    CanaryMetrics rest = both.since(few);
    assertThat(rest.rows()).isEqualTo(3);
    assertThat(rest.klMean()).isCloseTo(0.02, within(1e-12));
    assertThat(rest.agreement()).isCloseTo(0.9, within(1e-12));
    assertThat(few.since(few)).isEqualTo(CanaryMetrics.NONE);
    assertThat(few.plus(CanaryMetrics.NONE).positions()).isEqualTo(10);
  }
}
