package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

/** Which chunks of a prompt stay. */
class EvictionTest {

  @Test
  void streamingKeepsTheFirstAndTheLatest() {
    assertThat(new Eviction(32, 0).chosen(128, null)).containsExactly(0, 13, 14, 15);
    assertThat(new Eviction(8, 0).chosen(128, null)).containsExactly(0);
    assertThat(new Eviction(999, 0).chosen(64, null)).hasSize(8);
  }

  @Test
  void queriesKeepTheChunksWithMostMassAndOfEqualsTheEarlier() {
    float[] mass = new float[128];
    mass[127] = 3; // chunk 15
    for (int i = 40; i < 48; i++) mass[i] = 0.25f; // chunk 5: 2 together
    mass[16] = 1; // chunk 2
    mass[24] = 1; // chunk 3
    assertThat(new Eviction(24, 32).chosen(128, mass)).containsExactly(2, 5, 15);
    assertThat(new Eviction(32, 32).chosen(128, mass)).containsExactly(2, 3, 5, 15);
  }

  @Test
  void theEndOfAPromptIsNotChosenFrom() {
    Eviction eviction = new Eviction(8, 0);
    assertThat(eviction.sparseTokens(95)).isZero();
    assertThat(eviction.sparseTokens(96)).isEqualTo(64);
    assertThat(eviction.sparseTokens(4032)).isEqualTo(4000 / 64 * 64);
  }

  @Test
  void aBudgetBelowAChunkIsRefused() {
    assertThatThrownBy(() -> new Eviction(7, 0)).hasMessageContaining("budget 7");
  }
}
