package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.OutputRows.Asked;
import io.shadowbatch.spark.PreparedRows.Prepared;
import io.shadowbatch.spark.ReadyRows.Outcome;
import io.shadowbatch.spark.Repeats.Original;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import org.apache.spark.sql.Row;

/**
 * Turns one partition's prepared rows into requests, and completions into output rows: for each row
 * as many as it asked for, errors included, in the order in which they finish. Equal requests are
 * computed once ({@link Repeats}).
 */
final class InferenceRows {

  private final CompletionSource source;
  private final InferenceTask.Settings settings;
  private final TaskCounters counters;
  private final OutputRows output;
  private final Predicate<String> done;
  private final Map<Long, Pending> pending = new ConcurrentHashMap<>();
  private final ReadyRows ready = new ReadyRows();
  private final Repeats repeats;
  private final KvRule rule;
  private final PartitionRecord record;
  private Iterator<Completion> completions;
  private volatile boolean abandoned;

  /**
   * An output row that leaves.
   *
   * @param asked whose row it is
   * @param tally what it counts
   */
  record Finished(Asked asked, Row row, Tally tally) {}

  /** A completion that the engine works on. */
  private record Pending(Asked asked, Original original) {}

  /**
   * A partition of rows that are not read yet.
   *
   * @param done whether a row of that {@link RowKey} is committed already, asked once for each row
   */
  InferenceRows(
      CompletionSource source,
      InferenceTask.Settings settings,
      TaskCounters counters,
      int attempt,
      Predicate<String> done) {
    this.source = source;
    this.settings = settings;
    this.counters = counters;
    this.done = done;
    this.output = new OutputRows(source, settings, attempt);
    this.repeats = new Repeats(settings.sharing().dedup(), ready);
    this.rule = new KvRule(settings.engine().kv().mode(), source.choice());
    this.record = new PartitionRecord(source, settings.sharing(), rule);
  }

  /** What the partition was predicted to take, and took, once all its rows have left. */
  PartitionOutcome outcome(int partition, String executor) {
    return record.end(partition, executor);
  }

  /** The partition's output, as long as nothing cancels it. */
  Iterator<Finished> run(Iterator<Row> rows, BooleanSupplier cancelled) {
    completions = source.run(new Requests(rows), () -> abandoned || cancelled.getAsBoolean());
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return !ready.isEmpty() || completions.hasNext() || !ready.isEmpty();
      }

      @Override
      public Finished next() {
        if (!hasNext()) throw new NoSuchElementException("the partition has no more rows");
        Outcome outcome = ready.poll();
        return row(outcome != null ? outcome : finished(completions.next()));
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

  private Outcome finished(Completion completion) {
    Pending asked = pending.remove(completion.id());
    if (asked == null) {
      throw new IllegalStateException("completion " + completion.id() + " was not asked for");
    }
    Outcome outcome = new Outcome(asked.asked(), completion, null);
    repeats.finished(asked.original(), outcome);
    return outcome;
  }

  /** Makes the row that leaves, and counts it. */
  private Finished row(Outcome outcome) {
    Asked asked = outcome.asked();
    Completion completion = outcome.completion();
    Tally tally = Tally.of(outcome);
    counters.add(tally);
    if (completion == null) {
      return new Finished(asked, output.failed(asked, outcome.error()), tally);
    }
    record.answered(completion, asked.origin());
    return new Finished(asked, output.completed(asked, completion), tally);
  }

  /**
   * The partition's requests; rows with errors and copies leave through the queue. Has none for now
   * while that queue is full, and may have more after it was emptied.
   */
  private final class Requests implements Iterator<Request> {
    private final PlannedRows rows;
    private Asked current;
    private Original original;
    private int[] tokens;
    private SamplingParams params;
    private KvMode kvMode;
    private int sample;
    private long nextId;
    private long nextRow;

    Requests(Iterator<Row> rows) {
      this.rows = new PlannedRows(rows, settings.sharing(), settings.kept());
    }

    @Override
    public boolean hasNext() {
      if (abandoned) return false;
      while (current == null || sample == current.prepared().samples()) {
        if (ready.isFull() || repeats.isFull() || !rows.hasNext()) return false;
        open(rows.next());
      }
      return true;
    }

    /** Makes the row the current one, unless it is a copy or has an error. */
    private void open(PlannedRows.Planned row) {
      Prepared prepared = row.prepared();
      Asked asked = Asked.of(nextRow++, row, settings.kept());
      sample = 0;
      current = null;
      if (done.test(asked.input().key())) return;
      record.planned(prepared);
      if (prepared.error() != null) {
        ready.add(failed(asked, prepared.error()));
        return;
      }
      if (repeats.take(asked)) return;
      original = repeats.begin(prepared);
      try {
        start(asked, row.group());
      } catch (RowException e) {
        List<Outcome> outcomes = failed(asked, e);
        for (Outcome outcome : outcomes) repeats.finished(original, outcome);
        ready.add(outcomes);
      }
    }

    private void start(Asked asked, RowGroup group) {
      Prepared prepared = asked.prepared();
      Map<String, Object> values = RowParams.parsed(prepared.params());
      params = RowParams.sampling(values, Seeds.ofRow(values, settings.rows(), prepared.key()));
      int[] all = encode(new String(prepared.prompt(), StandardCharsets.UTF_8), values);
      record.tokenized(prepared, all.length);
      tokens =
          PromptLengths.fit(
              all,
              source.contextTokens(),
              params.maxTokens(),
              RowParams.promptTokensMax(values),
              settings.rows().longPrompts());
      kvMode = chosen(prepared, group);
      String hash = hash(prepared.params());
      current = asked.withoutPrompt().with(all.length - tokens.length, hash);
    }

    /** How the row's prompt is read; the forecast hears of it. */
    private KvMode chosen(Prepared prepared, RowGroup group) {
      int answer = Math.min(params.maxTokens(), settings.sharing().cost().outputTokensMax());
      int samples = prepared.samples();
      KvChoice.Asked asked = group.asked(prepared.prompt().length, samples, tokens.length, answer);
      record.chosen(asked, samples);
      return rule.of(asked);
    }

    private static List<Outcome> failed(Asked asked, RowException e) {
      Asked slim = asked.withoutPrompt();
      List<Outcome> outcomes = new ArrayList<>();
      for (int i = 0; i < asked.prepared().samples(); i++) {
        outcomes.add(new Outcome(slim.sample(i, null), null, e));
      }
      return outcomes;
    }

    private int[] encode(String prompt, Map<String, Object> values) {
      int[] ids;
      try {
        boolean raw = RowParams.raw(values, settings.raw());
        ids = raw ? source.encodeRaw(prompt) : source.encode(prompt);
      } catch (RowException e) {
        throw e; // it ended the process that tokenized it
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
      pending.put(id, new Pending(current.sample(sample, seed), original));
      sample++;
      return new Request(id, tokens, params.withSeed(seed), kvMode);
    }
  }

  private static String hash(String params) {
    byte[] sha256 = PrefixSignature.sha256(params.getBytes(StandardCharsets.UTF_8));
    return HexFormat.of().formatHex(sha256, 0, 8);
  }
}
