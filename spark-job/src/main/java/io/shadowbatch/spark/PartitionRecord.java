package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice.Asked;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.EnumMap;
import java.util.Map;

/** Keeps what a partition's rows promise as they go in, and what came of it. */
final class PartitionRecord {
  /** Before anything is tokenized. */
  private static final double BYTES_PER_TOKEN = 4;

  private final CompletionSource source;
  private final FactTally tally;
  private final long begin = System.nanoTime();
  private final KvRule rule;
  private final EngineClock before;
  private final Map<KvMode, Long> kvModes = new EnumMap<>(KvMode.class);
  private long promptTokens;
  private long computedTokens;
  private long newTokens;

  PartitionRecord(CompletionSource source, Sharing sharing, KvRule rule) {
    this.source = source;
    this.tally = new FactTally(sharing, BYTES_PER_TOKEN, source.contextTokens());
    this.rule = rule;
    this.before = EngineClock.of(source.metrics());
  }

  /** The next row, before it is tokenized. */
  void planned(Prepared row) {
    tally.add(row);
  }

  /** A prompt's tokens are known: the rows that come are predicted the better for it. */
  void tokenized(Prepared row, int tokens) {
    tally.observe(row.prompt().length, tokens);
  }

  /** So many completions of a request will be asked for. */
  void chosen(Asked asked, int completions) {
    rule.count(tally.facts(), asked, completions);
  }

  /** An answer leaves. */
  void answered(Completion completion, OutputRows.Origin origin) {
    kvModes.merge(completion.kvMode(), 1L, Long::sum);
    promptTokens += completion.promptTokens();
    if (origin == OutputRows.Origin.COPIED) return;
    computedTokens += completion.promptTokens() - completion.cachedTokens();
    newTokens += completion.tokenIds().length;
  }

  /** All answers have left. */
  PartitionOutcome end(int partition, String executor) {
    return new PartitionOutcome(
        partition,
        executor,
        tally.facts(),
        source.costs(),
        promptTokens,
        computedTokens,
        newTokens,
        kvModes,
        (System.nanoTime() - begin) / 1e9,
        before,
        EngineClock.of(source.metrics()));
  }
}
