package io.shadowbatch.spark;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.TokenLogprob;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/** Makes rows of {@link CompletionTable} out of completions and errors. */
final class OutputRows {

  private static final int FIXED_COLUMNS = 14;
  private static final Object[] NO_TOKENS = {};

  private final CompletionSource source;
  private final InferenceTask.Settings settings;
  private final int attempt;

  OutputRows(CompletionSource source, InferenceTask.Settings settings, int attempt) {
    this.source = source;
    this.settings = settings;
    this.attempt = attempt;
  }

  /** Whether an answer was computed for its row, or copied from a row that asked for the same. */
  enum Origin {
    COMPUTED,
    COPIED
  }

  /**
   * One completion that a row asked for.
   *
   * @param row with the columns to keep
   * @param prepared with or without its prompt
   * @param input which row of the partition asked
   * @param group name of its prefix group, or null
   */
  record Asked(
      InputRow input,
      Object[] row,
      Prepared prepared,
      String group,
      int sampleIndex,
      int truncated,
      Identity identity,
      Origin origin) {

    /**
     * A row of the input.
     *
     * @param number within its partition
     * @param key its {@link RowKey}
     */
    record InputRow(long number, String key) {}

    /**
     * Of parameters and seed; null before they are known.
     *
     * @param seed null if the row has an error
     */
    record Identity(String paramsHash, Long seed) {}

    /** Of a row as it is read. */
    static Asked of(long number, PlannedRows.Planned planned, int kept) {
      Object[] values = new Object[kept];
      for (int i = 0; i < kept; i++) values[i] = planned.row().get(i);
      Prepared prepared = planned.prepared();
      InputRow input = new InputRow(number, RowKey.of(prepared.key(), prepared.id(), values));
      String group = planned.group().name();
      return new Asked(input, values, prepared, group, 0, 0, null, Origin.COMPUTED);
    }

    Asked with(int truncatedTokens, String paramsHash) {
      Identity known = new Identity(paramsHash, null);
      return new Asked(input, row, prepared, group, sampleIndex, truncatedTokens, known, origin);
    }

    Asked sample(int index, Long seed) {
      String hash = identity == null ? null : identity.paramsHash();
      return new Asked(
          input, row, prepared, group, index, truncated, new Identity(hash, seed), origin);
    }

    /** With what the output needs, and not the prompt, which may be large. */
    Asked withoutPrompt() {
      return new Asked(
          input, row, prepared.withoutPrompt(), group, sampleIndex, truncated, identity, origin);
    }

    /** This row, with the answer that another one got. */
    Asked copyOf(Asked other) {
      return new Asked(
          input,
          row,
          prepared,
          group,
          other.sampleIndex,
          other.truncated,
          other.identity,
          Origin.COPIED);
    }
  }

  Row completed(Asked asked, Completion c) {
    Row meta = meta(asked, c.kvMode());
    if (c.error() != null) {
      RowException e = new RowException(c.error().code(), "engine", c.error().message());
      return row(
          asked,
          meta,
          null,
          null,
          null,
          usage(c),
          error(e, c.error().attempts()),
          timing(c),
          null,
          NO_TOKENS);
    }
    String reason = Tally.name(c.finishReason());
    return row(
        asked,
        meta,
        c.text(),
        reason,
        c.stopReason(),
        usage(c),
        null,
        timing(c),
        logprobs(c.logprobs()),
        ids(c.tokenIds()));
  }

  Row failed(Asked asked, RowException e) {
    Row nothing = RowFactory.create(0L, 0L, 0L, 0L, 0L);
    Row noTime = RowFactory.create(0.0, 0.0, 0.0, 0.0);
    Row meta = meta(asked, KvMode.DENSE);
    return row(asked, meta, null, null, null, nothing, error(e, 1), noTime, null, NO_TOKENS);
  }

  private Row row(
      Asked asked,
      Row meta,
      String completion,
      String finishReason,
      String stopReason,
      Row usage,
      Row error,
      Row timing,
      Object[] logprobs,
      Object[] tokenIds) {
    int kept = settings.kept();
    Object[] values = new Object[kept + FIXED_COLUMNS];
    values[0] = asked.prepared().id();
    values[1] = asked.prepared().key();
    values[2] = asked.sampleIndex();
    for (int i = 0; i < kept; i++) values[3 + i] = asked.row()[i];
    int at = 3 + kept;
    values[at] = error == null ? "ok" : "error";
    values[at + 1] = completion;
    values[at + 2] = null;
    values[at + 3] = finishReason;
    values[at + 4] = stopReason;
    values[at + 5] = usage;
    values[at + 6] = error;
    values[at + 7] = timing;
    values[at + 8] = logprobs;
    values[at + 9] = tokenIds;
    values[at + 10] = meta;
    return RowFactory.create(values);
  }

  /**
   * @param attempts of this task
   */
  private Row error(RowException e, int attempts) {
    return RowFactory.create(
        e.code().name(), e.getMessage(), e.stage(), e.code().retryable(), attempt + attempts);
  }

  private Row meta(Asked asked, KvMode mode) {
    Asked.Identity identity = asked.identity();
    return RowFactory.create(
        settings.runId(),
        settings.model().name(),
        settings.model().fingerprint(),
        settings.engineName(),
        settings.engine().backend(),
        Tally.name(mode),
        identity == null ? null : identity.paramsHash(),
        identity == null ? null : identity.seed(),
        asked.group(),
        attempt,
        asked.truncated(),
        asked.origin() == Origin.COPIED,
        asked.input().key());
  }

  private static Row usage(Completion c) {
    long prompt = c.promptTokens();
    long fresh = c.tokenIds().length;
    return RowFactory.create(prompt, fresh, prompt + fresh, (long) c.cachedTokens(), 0L);
  }

  private static Row timing(Completion c) {
    Completion.Timing t = c.timing();
    return RowFactory.create(t.queueMillis(), t.prefillMillis(), t.decodeMillis(), t.totalMillis());
  }

  private static Object[] ids(int[] tokens) {
    return Arrays.stream(tokens).boxed().toArray();
  }

  private Object[] logprobs(List<TokenLogprob> tokens) {
    if (tokens == null) return null;
    return tokens.stream().map(this::logprob).toArray();
  }

  private Row logprob(TokenLogprob t) {
    Object[] top =
        t.top().stream()
            .map(a -> RowFactory.create(a.tokenId(), source.token(a.tokenId()), a.logprob()))
            .toArray();
    return RowFactory.create(t.tokenId(), source.token(t.tokenId()), t.logprob(), top);
  }
}
