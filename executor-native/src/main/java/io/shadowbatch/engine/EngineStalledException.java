package io.shadowbatch.engine;

import java.time.Duration;

/** An engine's thread has finished no step for too long: it may never come back. */
final class EngineStalledException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  /** System property with the bound in seconds. */
  static final String PROPERTY = "shadowbatch.engine.stallSeconds";

  private static final long SECONDS = 600;

  EngineStalledException(Duration bound) {
    super(
        "no step was finished for %d s (-D%s=%d)"
            .formatted(bound.toSeconds(), PROPERTY, bound.toSeconds()));
  }

  /** How long a step may take at most: a large model's first step on few cores takes minutes. */
  static Duration bound() {
    String given = System.getProperty(PROPERTY, "" + SECONDS);
    if (given.matches("[1-9]\\d{0,6}")) return Duration.ofSeconds(Long.parseLong(given));
    throw new IllegalArgumentException(
        "-D%s=%s: expected seconds, from 1 to 9999999".formatted(PROPERTY, given));
  }
}
