package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.BooleanSupplier;
import org.apache.spark.sql.Row;

/**
 * Turns one partition's prepared rows into requests, and completions into output rows: for each row
 * as many as it asked for, errors included, in the order in which they finish.
 */
final class InferenceRows {

  private final CompletionSource source;
  private final InferenceTask.Settings settings;
  private final TaskCounters counters;
  private final OutputRows output;
  private final Map<Long, OutputRows.Asked> pending = new ConcurrentHashMap<>();
  private final Queue<Row> ready = new ConcurrentLinkedQueue<>();
  private Iterator<Completion> completions;
  private volatile boolean abandoned;

  InferenceRows(
      CompletionSource source,
      InferenceTask.Settings settings,
      TaskCounters counters,
      int attempt) {
    this.source = source;
    this.settings = settings;
    this.counters = counters;
    this.output = new OutputRows(source, settings, attempt);
  }

  Iterator<Row> run(Iterator<Row> rows, BooleanSupplier cancelled) {
    completions = source.run(new Requests(rows), () -> abandoned || cancelled.getAsBoolean());
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return !ready.isEmpty() || completions.hasNext() || !ready.isEmpty();
      }

      @Override
      public Row next() {
        Row row = ready.poll();
        if (row != null) return row;
        if (completions.hasNext()) return finished(completions.next());
        row = ready.poll();
        if (row == null) throw new NoSuchElementException("the partition has no more rows");
        return row;
      }
    };
  }

  /** The task has ended, perhaps early: the engine need not go on with its requests. */
  void abandon() {
    abandoned = true;
    if (completions == null || pending.isEmpty()) return;
    try {
      completions.next();
    } catch (IllegalStateException e) {
      pending.clear();
    }
  }

  private Row finished(Completion completion) {
    OutputRows.Asked asked = pending.remove(completion.id());
    if (asked == null) {
      throw new IllegalStateException("completion " + completion.id() + " was not asked for");
    }
    counters.add(completion);
    return output.completed(asked, completion);
  }

  /** The partition's requests; rows with errors leave at once through the queue. */
  private final class Requests implements Iterator<Request> {
    private final PlannedRows rows;
    private OutputRows.Asked current;
    private int[] tokens;
    private SamplingParams params;
    private int sample;
    private long nextId;

    Requests(Iterator<Row> rows) {
      this.rows = new PlannedRows(rows, settings.plan(), settings.kept());
    }

    @Override
    public boolean hasNext() {
      if (abandoned) return false;
      while (current == null || sample == current.prepared().samples()) {
        if (!rows.hasNext()) return false;
        open(rows.next());
      }
      return true;
    }

    /** Makes the row the current one, or emits its error rows. */
    private void open(PlannedRows.Planned row) {
      Prepared prepared = row.prepared();
      OutputRows.Asked asked = new OutputRows.Asked(row.row(), prepared, row.group(), 0, 0, null);
      sample = 0;
      current = null;
      try {
        if (prepared.error() != null) throw prepared.error();
        Map<String, Object> values = RowParams.parsed(prepared.params());
        params = RowParams.sampling(values, Seeds.ofRow(values, settings.rows(), prepared.key()));
        String prompt = new String(prepared.prompt(), StandardCharsets.UTF_8);
        int[] all = encode(prompt);
        tokens =
            PromptLengths.fit(
                all,
                source.contextTokens(),
                params.maxTokens(),
                RowParams.promptTokensMax(values),
                settings.rows().longPrompts());
        current = asked.with(all.length - tokens.length, hash(prepared.params()));
      } catch (RowException e) {
        for (int i = 0; i < prepared.samples(); i++) {
          ready.add(output.failed(asked.sample(i, null), e));
          counters.add(e.code());
        }
      }
    }

    private int[] encode(String prompt) {
      int[] ids;
      try {
        boolean raw = settings.raw() == InferenceTask.RawPrompts.RAW;
        ids = raw ? source.encodeRaw(prompt) : source.encode(prompt);
      } catch (RuntimeException e) {
        throw new RowException(ErrorCode.TOKENIZE_ERROR, "tokenize", Failures.firstLine(e));
      }
      if (ids.length == 0) {
        throw new RowException(ErrorCode.EMPTY_PROMPT, "tokenize", "the prompt has no tokens");
      }
      return ids;
    }

    @Override
    public Request next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more requests");
      long id = nextId++;
      long seed = Seeds.ofSample(params.seed(), sample);
      pending.put(id, current.sample(sample, seed));
      sample++;
      return new Request(id, tokens, params.withSeed(seed));
    }
  }

  private static String hash(String params) {
    byte[] sha256 = PrefixSignature.sha256(params.getBytes(StandardCharsets.UTF_8));
    return HexFormat.of().formatHex(sha256, 0, 8);
  }
}
