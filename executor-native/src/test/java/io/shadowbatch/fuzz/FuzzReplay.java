package io.shadowbatch.fuzz;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/** Gives a target its honest seeds and all inputs that are kept of its fuzzing. */
public final class FuzzReplay {
  private static final Duration INPUT_TIME_MAX = Duration.ofSeconds(20);

  private FuzzReplay() {}

  /** Fails if a seed is refused, or if a kept input leads to more than a documented exception. */
  public static void of(FuzzTarget target) throws Exception {
    List<byte[]> seeds = target.seeds();
    assertThat(seeds).isNotEmpty();
    for (int i = 0; i < seeds.size(); i++) {
      assertThat(target.accepts(seeds.get(i))).as("seed " + i + " is accepted").isTrue();
    }
    Map<String, byte[]> kept = FuzzCorpus.kept(target.getClass());
    assertThat(kept).as("kept inputs").isNotEmpty();
    for (Map.Entry<String, byte[]> input : kept.entrySet()) {
      try {
        assertTimeoutPreemptively(INPUT_TIME_MAX, () -> target.accepts(input.getValue()));
      } catch (Throwable e) {
        throw new AssertionError(
            "input " + input.getKey() + " of " + FuzzCorpus.name(target.getClass()) + ": " + e, e);
      }
    }
  }
}
