package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.request.Completion;
import io.shadowbatch.spark.PreparedRows.Prepared;

/** Keeps what a partition's rows promise as they go in, and what came of it. */
final class PartitionRecord {
  /** Before anything is tokenized. */
  private static final double BYTES_PER_TOKEN = 4;

  private final CompletionSource source;
  private final FactTally tally;
  private final long begin = System.nanoTime();
  private final double engineBefore;
  private long promptTokens;
  private long computedTokens;
  private long newTokens;

  PartitionRecord(CompletionSource source, Sharing sharing) {
    this.source = source;
    this.tally = new FactTally(sharing, BYTES_PER_TOKEN, source.contextTokens());
    this.engineBefore = seconds(source.metrics());
  }

  /** The next row, before it is tokenized. */
  void planned(Prepared row) {
    tally.add(row);
  }

  /** A prompt's tokens are known: the rows that come are predicted the better for it. */
  void tokenized(Prepared row, int tokens) {
    tally.observe(row.prompt().length, tokens);
  }

  /** An answer leaves. */
  void answered(Completion completion, OutputRows.Origin origin) {
    promptTokens += completion.promptTokens();
    if (origin == OutputRows.Origin.COPIED) return;
    computedTokens += completion.promptTokens() - completion.cachedTokens();
    newTokens += completion.tokenIds().length;
  }

  /** All answers have left. */
  PartitionOutcome end(int partition, String executor) {
    EngineMetrics metrics = source.metrics();
    return new PartitionOutcome(
        partition,
        executor,
        tally.facts(),
        source.costs(),
        promptTokens,
        computedTokens,
        newTokens,
        (System.nanoTime() - begin) / 1e9,
        engineBefore,
        seconds(metrics),
        metrics.kvBytesPeak());
  }

  private static double seconds(EngineMetrics metrics) {
    return metrics.computeSeconds() + metrics.sampleSeconds();
  }
}
