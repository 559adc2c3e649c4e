package io.shadowbatch.spark;

import java.io.Serializable;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;

/** Counters that tasks send home while they run. For progress only: retries count twice. */
record TaskCounters(LongAccumulator rows, LongAccumulator promptTokens, LongAccumulator newTokens)
    implements Serializable {

  static final String PREFIX = "shadowbatch.";
  static final String ROWS = PREFIX + "rows";
  static final String PROMPT_TOKENS = PREFIX + "prompt_tokens";
  static final String NEW_TOKENS = PREFIX + "completion_tokens";

  static TaskCounters register(SparkContext context) {
    return new TaskCounters(
        context.longAccumulator(ROWS),
        context.longAccumulator(PROMPT_TOKENS),
        context.longAccumulator(NEW_TOKENS));
  }

  void add(long promptCount, long newCount) {
    rows.add(1);
    promptTokens.add(promptCount);
    newTokens.add(newCount);
  }
}
