package io.shadowbatch.engine;

import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Tokens that were computed for nothing, by cause.
 *
 * @param cancelled of answers that were begun and that nobody waited for any more
 * @param crashIsolation of answers that were under way when an engine failed or its process ended;
 *     of a process as far as its last sign of life told, and at least those of its last answer
 */
public record WastedTokens(long cancelled, long crashIsolation) implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Nothing was wasted. */
  public static final WastedTokens NONE = new WastedTokens(0, 0);

  /** Both. */
  public WastedTokens plus(WastedTokens other) {
    return new WastedTokens(cancelled + other.cancelled, crashIsolation + other.crashIsolation);
  }

  /** What was wasted since {@code before}. */
  public WastedTokens since(WastedTokens before) {
    return new WastedTokens(cancelled - before.cancelled, crashIsolation - before.crashIsolation);
  }

  /** Tokens by cause, of causes that occurred. */
  public Map<String, Long> described() {
    Map<String, Long> found = new LinkedHashMap<>();
    if (cancelled > 0) found.put("cancelled", cancelled);
    if (crashIsolation > 0) found.put("crash_isolation", crashIsolation);
    return found;
  }
}
