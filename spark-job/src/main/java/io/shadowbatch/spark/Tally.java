package io.shadowbatch.spark;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.FinishReason;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.spark.OutputRows.Origin;
import io.shadowbatch.spark.ReadyRows.Outcome;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Counts of output rows by name: what counters, chunks and reports have in common.
 *
 * @param counts none is zero
 */
record Tally(Map<String, Long> counts) {
  static final String ROWS = "rows";
  static final String PROMPT_TOKENS = "prompt_tokens";
  static final String CACHED_TOKENS = "cached_tokens";

  /** Tokens that were computed. */
  static final String NEW_TOKENS = "completion_tokens";

  static final String COPIED_ROWS = "copied_rows";
  static final String COPIED_TOKENS = "copied_completion_tokens";
  static final String ERROR = "error.";
  static final String FINISH = "finish.";
  static final String KV_MODE = "kv_mode.";

  /** Of no row. */
  static Tally none() {
    return new Tally(new TreeMap<>());
  }

  /** Of one row. */
  static Tally of(Outcome outcome) {
    Tally one = none();
    one.count(ROWS, 1);
    boolean copied = outcome.asked().origin() == Origin.COPIED;
    if (copied) one.count(COPIED_ROWS, 1);
    Completion c = outcome.completion();
    one.count(KV_MODE + name(c == null ? KvMode.DENSE : c.kvMode()), 1);
    if (c == null) {
      one.count(ERROR + outcome.error().code().name(), 1);
      return one;
    }
    one.count(PROMPT_TOKENS, c.promptTokens());
    one.count(CACHED_TOKENS, c.cachedTokens());
    one.count(copied ? COPIED_TOKENS : NEW_TOKENS, c.tokenIds().length);
    if (c.error() != null) one.count(ERROR + c.error().code().name(), 1);
    else one.count(FINISH + name(c.finishReason()), 1);
    return one;
  }

  /** All names that may occur. */
  static List<String> names() {
    List<String> names =
        new ArrayList<>(
            List.of(ROWS, PROMPT_TOKENS, CACHED_TOKENS, NEW_TOKENS, COPIED_ROWS, COPIED_TOKENS));
    for (ErrorCode code : ErrorCode.values()) names.add(ERROR + code.name());
    for (FinishReason reason : FinishReason.values()) names.add(FINISH + name(reason));
    for (KvMode mode : KvMode.values()) names.add(KV_MODE + name(mode));
    return names;
  }

  /** A reason or a mode as the output's column has it. */
  static String name(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  private void count(String name, long n) {
    if (n != 0) counts.merge(name, n, Long::sum);
  }

  /** Adds another's counts to these. */
  void add(Tally other) {
    other.counts.forEach(this::count);
  }

  /** A count; 0 if there is none. */
  long get(String name) {
    return counts.getOrDefault(name, 0L);
  }

  /** Counts whose names begin so, by the rest of their names. */
  Map<String, Long> under(String prefix) {
    Map<String, Long> found = new TreeMap<>();
    counts.forEach(
        (name, n) -> {
          if (name.startsWith(prefix)) found.put(name.substring(prefix.length()), n);
        });
    return found;
  }
}
