package io.shadowbatch.spark;

import io.shadowbatch.ledger.ChunkFormat;
import io.shadowbatch.ledger.ChunkLog;
import io.shadowbatch.ledger.OutputFiles;
import io.shadowbatch.ledger.StoreSettings;
import java.io.Serializable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;

/**
 * How the tasks of a run commit.
 *
 * @param output folder of the completions
 * @param series of chunks within the run
 * @param rows of a chunk, samples counted
 * @param seconds that a finished row waits at most, about
 */
record Commits(
    String output,
    String runId,
    Series series,
    ChunkFormat format,
    StoreSettings store,
    int rows,
    double seconds)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Stages of a run, each with chunks of its own for each partition. */
  enum Series {
    COMPUTED(""),
    COPIED("r");

    private final String suffix;

    Series(String suffix) {
      this.suffix = suffix;
    }
  }

  /** What a row takes in memory besides its texts. */
  private static final int ROW_BYTES = 1024;

  /** Where the files of a run are written before they are committed. */
  static Path staging(Path output, String runId) {
    return new Path(output, RunFolder.NAME + "/staging/" + runId);
  }

  /** The log of a partition. */
  ChunkLog log(OutputFiles files, int partition) {
    Path folder = new Path(output);
    Path staging = staging(folder, runId);
    return new ChunkLog(
        files, folder, staging, runId + series.suffix, partition, format.extension());
  }

  /** About what an output row holds in memory. */
  long bytes(Row row) {
    return ROW_BYTES + weight(row);
  }

  private static long weight(Row row) {
    long sum = 0;
    for (int i = 0; i < row.size(); i++) {
      Object value = row.get(i);
      if (value instanceof String text) sum += 2L * text.length();
      else if (value instanceof byte[] bytes) sum += bytes.length;
      else if (value instanceof Object[] values) sum += weight(values);
    }
    return sum;
  }

  /** Token ids, or log-probabilities with their alternatives. */
  private static long weight(Object[] values) {
    if (values.length == 0) return 0;
    if (!(values[0] instanceof Row first)) return 24L * values.length;
    Object[] top = first.get(first.size() - 1) instanceof Object[] t ? t : new Object[0];
    return 200L * values.length * (1 + top.length);
  }
}
