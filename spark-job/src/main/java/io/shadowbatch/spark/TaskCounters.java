package io.shadowbatch.spark;

import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.SparkContext;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;

/**
 * Counts of the rows of a run. While tasks run, heartbeats bring home what they computed so far.
 * Once the action has ended, the driver's values are those of the committed chunks: Spark takes
 * each partition's counts once, from the attempt that succeeded, and that attempt counts the chunks
 * that others committed before it, and not what it computed in vain.
 *
 * @param counts by the names of {@link Tally}
 * @param committed computed tokens in chunks that this attempt committed
 * @param partitions what each was predicted to take, and took
 */
record TaskCounters(
    Map<String, LongAccumulator> counts,
    LongAccumulator committed,
    CollectionAccumulator<PartitionOutcome> partitions)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  static final String PREFIX = "shadowbatch.";
  static final String COMMITTED_TOKENS = "committed_completion_tokens";

  static TaskCounters register(SparkContext context) {
    CollectionAccumulator<PartitionOutcome> partitions = new CollectionAccumulator<>();
    context.register(partitions); // without a name: the web page would show each partition
    return of(name -> context.longAccumulator(PREFIX + name), partitions);
  }

  /** Of accumulators that somebody makes by their names. */
  static TaskCounters of(
      Function<String, LongAccumulator> make, CollectionAccumulator<PartitionOutcome> partitions) {
    Map<String, LongAccumulator> counts = new LinkedHashMap<>();
    for (String name : Tally.names()) counts.put(name, make.apply(name));
    return new TaskCounters(counts, make.apply(COMMITTED_TOKENS), partitions);
  }

  /** Rows were computed, or found in a chunk of another attempt. */
  void add(Tally tally) {
    tally.counts().forEach((name, n) -> counts.get(name).add(n));
  }

  /** Rows that were computed are not written: another attempt was first. */
  void subtract(Tally tally) {
    tally.counts().forEach((name, n) -> counts.get(name).add(-n));
  }

  /** What is counted so far. */
  Tally sum() {
    Tally sum = Tally.none();
    counts.forEach(
        (name, n) -> {
          if (n.sum() != 0) sum.counts().put(name, n.sum());
        });
    return sum;
  }
}
