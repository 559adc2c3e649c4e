package io.shadowbatch.spark;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.ledger.ChunkFormat;
import io.shadowbatch.ledger.ChunkLog;
import io.shadowbatch.ledger.OutputFiles;
import io.shadowbatch.spark.InferenceRows.Finished;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;

/**
 * Commits a partition's output in chunks, each as soon as it is full or old. A row of the input is
 * in one chunk with all its samples, or in none; rows that another attempt committed are dropped.
 */
final class ChunkWriter {
  static final String ROW_KEYS = "shadowbatch.row_keys";
  static final String TALLY = "shadowbatch.tally";

  private static final ObjectMapper JSON = new ObjectMapper();

  /** What an open chunk may hold in memory. */
  private static final long BYTES_MAX = 64L << 20;

  /** The output rows of a row of the input, so far. */
  private static final class Samples {
    private final String key;
    private final List<Row> rows = new ArrayList<>();
    private final Tally tally = Tally.none();
    private long bytes;

    private Samples(String key) {
      this.key = key;
    }
  }

  private final Commits commits;
  private final Configuration conf;
  private final OutputFiles files;
  private final ChunkLog log;
  private final TaskCounters counters;

  /** Rows of other attempts' chunks that this one has not met yet, with how many are equal. */
  private final Map<String, Integer> elsewhere = new HashMap<>();

  private final Map<Long, Samples> begun = new HashMap<>();

  /** Rows that can be committed. */
  private final List<Samples> whole = new ArrayList<>();

  private long wholeRows;
  private long bytes;
  private long oldest;

  private ChunkWriter(
      Commits commits, Configuration conf, OutputFiles files, ChunkLog log, TaskCounters counters) {
    this.commits = commits;
    this.conf = conf;
    this.files = files;
    this.log = log;
    this.counters = counters;
  }

  /** Of a partition; reads what other attempts have committed of it. */
  static ChunkWriter open(Commits commits, int partition, TaskCounters counters) {
    try {
      Configuration conf = commits.store().open();
      OutputFiles files = OutputFiles.of(conf, new Path(commits.output()));
      ChunkWriter writer =
          new ChunkWriter(commits, conf, files, commits.log(files, partition), counters);
      writer.readOthers();
      return writer;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Commits a chunk without rows, for readers who need the columns. */
  void commitEmpty() {
    try {
      tryCommit();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether another attempt committed a row of this name; each such row is found once. */
  boolean isDone(String rowKey) {
    if (elsewhere.isEmpty() || !elsewhere.containsKey(rowKey)) return false;
    elsewhere.computeIfPresent(rowKey, (k, n) -> n == 1 ? null : n - 1);
    return true;
  }

  /** Takes an output row, and commits a chunk if that fills one. */
  void add(Finished finished) {
    long number = finished.asked().input().number();
    Samples samples = begun.get(number);
    if (samples == null) {
      samples = new Samples(finished.asked().input().key());
      begun.put(number, samples);
    }
    samples.rows.add(finished.row());
    samples.tally.add(finished.tally());
    samples.bytes += commits.bytes(finished.row());
    bytes += commits.bytes(finished.row());
    if (samples.rows.size() == finished.asked().prepared().samples()) {
      begun.remove(number);
      take(samples);
    }
    if (wholeRows >= commits.rows() || bytes > BYTES_MAX) commit();
    else commitIfOld();
  }

  private void take(Samples samples) {
    if (isDone(samples.key)) {
      drop(samples);
      return;
    }
    if (whole.isEmpty()) oldest = System.nanoTime();
    whole.add(samples);
    wholeRows += samples.rows.size();
  }

  private void drop(Samples samples) {
    counters.subtract(samples.tally);
    bytes -= samples.bytes;
  }

  /** Commits what has waited for long. */
  void commitIfOld() {
    if (whole.isEmpty()) return;
    if (System.nanoTime() - oldest > 1e9 * commits.seconds()) commit();
  }

  /** Commits all rows whose samples are all there. */
  void commit() {
    try {
      while (!whole.isEmpty() && !tryCommit()) readOthers();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private boolean tryCommit() throws IOException {
    Tally tally = Tally.none();
    List<String> keys = new ArrayList<>();
    for (Samples samples : whole) {
      tally.add(samples.tally);
      keys.add(samples.key);
    }
    Path staged = log.stage();
    Map<String, String> footer =
        Map.of(ROW_KEYS, ChunkFormat.joined(keys), TALLY, JSON.writeValueAsString(tally.counts()));
    var rows = whole.stream().flatMap(s -> s.rows.stream()).iterator();
    commits.format().write(files, staged, rows, footer);
    if (!log.commit(staged)) {
      files.delete(staged);
      return false;
    }
    counters.committed().add(tally.get(Tally.NEW_TOKENS));
    for (Samples samples : whole) bytes -= samples.bytes;
    whole.clear();
    wholeRows = 0;
    return true;
  }

  /** Other attempts' chunks: counts them, and drops the rows that they hold. */
  private void readOthers() throws IOException {
    for (Path chunk = log.read(); chunk != null; chunk = log.read()) {
      Map<String, String> footer = ChunkFormat.footer(conf, chunk);
      counters.add(tally(footer));
      for (String key : ChunkFormat.split(footer.get(ROW_KEYS))) {
        elsewhere.merge(key, 1, Integer::sum);
      }
    }
    whole.removeIf(
        samples -> {
          if (!isDone(samples.key)) return false;
          wholeRows -= samples.rows.size();
          drop(samples);
          return true;
        });
  }

  static Tally tally(Map<String, String> footer) throws IOException {
    return new Tally(JSON.readValue(footer.get(TALLY), new TypeReference<>() {}));
  }
}
