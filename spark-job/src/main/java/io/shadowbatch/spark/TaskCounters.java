package io.shadowbatch.spark;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.FinishReason;
import io.shadowbatch.request.KvMode;
import java.io.Serializable;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkContext;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;

/**
 * Counts of the rows that tasks hand to the writer. While tasks run, heartbeats bring home what is
 * counted so far, lost attempts included. Once the action has ended, the driver's values are those
 * of the files: the inference runs in the stage that writes them, and of such a stage Spark takes
 * each partition's counts once, from the attempt that committed.
 *
 * @param newTokens of completions that were computed
 * @param copiedTokens of completions that were copied from an equal request
 * @param partitions what each was predicted to take, and took
 */
record TaskCounters(
    LongAccumulator rows,
    LongAccumulator promptTokens,
    LongAccumulator cachedTokens,
    LongAccumulator newTokens,
    LongAccumulator copiedRows,
    LongAccumulator copiedTokens,
    CollectionAccumulator<PartitionOutcome> partitions,
    Map<ErrorCode, LongAccumulator> errors,
    Map<FinishReason, LongAccumulator> finishes,
    Map<KvMode, LongAccumulator> kvModes)
    implements Serializable {

  static final String PREFIX = "shadowbatch.";
  static final String ROWS = PREFIX + "rows";
  static final String PROMPT_TOKENS = PREFIX + "prompt_tokens";
  static final String CACHED_TOKENS = PREFIX + "cached_tokens";
  static final String NEW_TOKENS = PREFIX + "completion_tokens";

  static TaskCounters register(SparkContext context) {
    Map<ErrorCode, LongAccumulator> errors = new EnumMap<>(ErrorCode.class);
    for (ErrorCode code : ErrorCode.values()) {
      errors.put(code, context.longAccumulator(PREFIX + "error." + code.name()));
    }
    Map<FinishReason, LongAccumulator> finishes = new EnumMap<>(FinishReason.class);
    for (FinishReason reason : FinishReason.values()) {
      finishes.put(reason, context.longAccumulator(PREFIX + "finish." + name(reason)));
    }
    Map<KvMode, LongAccumulator> kvModes = new EnumMap<>(KvMode.class);
    for (KvMode mode : KvMode.values()) {
      kvModes.put(mode, context.longAccumulator(PREFIX + "kv_mode." + name(mode)));
    }
    CollectionAccumulator<PartitionOutcome> partitions = new CollectionAccumulator<>();
    context.register(partitions); // without a name: the web page would show each partition
    return new TaskCounters(
        context.longAccumulator(ROWS),
        context.longAccumulator(PROMPT_TOKENS),
        context.longAccumulator(CACHED_TOKENS),
        context.longAccumulator(NEW_TOKENS),
        context.longAccumulator(PREFIX + "copied_rows"),
        context.longAccumulator(PREFIX + "copied_completion_tokens"),
        partitions,
        errors,
        finishes,
        kvModes);
  }

  /** A reason or a mode as the output's column has it. */
  static String name(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  /** A row with an answer of the engine, its own or a copy. */
  void add(Completion completion, OutputRows.Origin origin) {
    int tokens = completion.tokenIds().length;
    count(origin, completion.kvMode());
    promptTokens.add(completion.promptTokens());
    cachedTokens.add(completion.cachedTokens());
    if (origin == OutputRows.Origin.COPIED) copiedTokens.add(tokens);
    else newTokens.add(tokens);
    if (completion.error() != null) {
      errors.get(completion.error().code()).add(1);
    } else {
      finishes.get(completion.finishReason()).add(1);
    }
  }

  /** A row that the engine never saw, or a copy of such a row. */
  void add(ErrorCode error, OutputRows.Origin origin) {
    count(origin, KvMode.DENSE);
    errors.get(error).add(1);
  }

  private void count(OutputRows.Origin origin, KvMode mode) {
    rows.add(1);
    kvModes.get(mode).add(1);
    if (origin == OutputRows.Origin.COPIED) copiedRows.add(1);
  }

  /** Error rows by code, of codes that occurred. */
  Map<String, Long> errorRows() {
    Map<String, Long> found = new TreeMap<>();
    errors.forEach((code, n) -> put(found, code.name(), n));
    return found;
  }

  /** Rows by finish reason, of reasons that occurred. */
  Map<String, Long> finishedRows() {
    Map<String, Long> found = new TreeMap<>();
    finishes.forEach((reason, n) -> put(found, name(reason), n));
    return found;
  }

  /** Rows by the way in which their prompts were read, of ways that occurred. */
  Map<String, Long> kvModeRows() {
    Map<String, Long> found = new TreeMap<>();
    kvModes.forEach((mode, n) -> put(found, name(mode), n));
    return found;
  }

  private static void put(Map<String, Long> found, String name, LongAccumulator count) {
    if (count.sum() > 0) found.put(name, count.sum());
  }
}
