package io.shadowbatch.model;

import java.nio.file.Path;
import java.time.Duration;

/**
 * Where and how packed weights are kept.
 *
 * @param folder shared by all processes of a host
 * @param threads that pack, at least 1
 * @param lockWait how long to wait for another process that packs the same model, before packing
 *     too
 */
public record PackOptions(Path folder, int threads, Duration lockWait) {
  public PackOptions {
    if (threads < 1 || lockWait.isNegative()) {
      throw new IllegalArgumentException(
          "pack options: %d threads, wait %s; expected at least 1 and 0"
              .formatted(threads, lockWait));
    }
  }

  /** The folder {@code ~/.cache/shadowbatch/packed}, one thread, ten minutes. */
  public static PackOptions standard() {
    Path home = Path.of(System.getProperty("user.home"));
    return new PackOptions(home.resolve(".cache/shadowbatch/packed"), 1, Duration.ofMinutes(10));
  }

  /** The same with another folder. */
  public PackOptions in(Path other) {
    return new PackOptions(other, threads, lockWait);
  }

  /** The same with another number of threads. */
  public PackOptions threads(int count) {
    return new PackOptions(folder, count, lockWait);
  }
}
