package io.shadowbatch.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * The rows that jobs with faults compute: prompts that begin alike, some of them equal, some asked
 * for two samples; and what a job without faults makes of them.
 *
 * @param expected completion by row and sample
 */
record StubRows(Path input, Map<String, String> expected) {

  /** Output rows of a chunk. */
  static final int CHUNK = 32;

  static final int PARTITIONS = 6;

  /** Makes them, and computes them in this process. */
  static StubRows make(Path folder, int rows) throws IOException {
    Path input = folder.resolve("prompts");
    LocalSpark.spark()
        .sql(
            "select cast(id as string) as id,"
                + " concat(repeat(concat('text ', id % 9, ' '), 12), 'ask ',"
                + " if(id % 20 = 0, id % 80, id)) as prompt,"
                + " if(id % 7 = 0, '{\"n\": 2}', null) as sampling_params"
                + " from range("
                + rows
                + ")")
        .repartition(2)
        .write()
        .parquet(input.toString());
    Path output = folder.resolve("expected");
    List<String> options = new ArrayList<>(options(input, output.toString()));
    Settings settings = LocalSpark.settings(options.toArray(new String[0]));
    CompletionSource.Opener opener = (model, choice) -> new FakeModel(underWay -> 0, -1);
    new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet(), opener)
        .run();
    Map<String, String> expected = completions(output.toString());
    if (expected.size() != rows + (rows + 6) / 7) {
      throw new IllegalStateException("made " + expected.size() + " output rows of " + rows);
    }
    return new StubRows(input, expected);
  }

  /** Options of a job that computes them. */
  static List<String> options(Path input, String output) throws IOException {
    return List.of(
        "model=" + LocalSpark.model(),
        "input=" + input,
        "output=" + output,
        "partitions=" + PARTITIONS,
        "chunk-rows=" + CHUNK);
  }

  /** Completions by row and sample; refuses a row that is there twice. */
  static Map<String, String> completions(String output) {
    Map<String, String> completions = new TreeMap<>();
    for (Row r : read(output).collectAsList()) {
      String key = r.getAs("request_id") + "#" + r.getAs("sample_index");
      completions.merge(key, r.getAs("completion"), (a, b) -> a + " doubled " + b);
    }
    return completions;
  }

  private static Dataset<Row> read(String output) {
    return LocalSpark.spark()
        .read()
        .parquet(output)
        .select("request_id", "sample_index", "completion");
  }

  /** How the rows of an output differ from the expected ones. */
  Difference difference(String output) {
    Map<String, String> found = completions(output);
    long lost = expected.keySet().stream().filter(k -> !found.containsKey(k)).count();
    long doubled = found.values().stream().filter(v -> v.contains(" doubled ")).count();
    long wrong =
        found.entrySet().stream()
            .filter(e -> !e.getValue().contains(" doubled "))
            .filter(e -> !e.getValue().equals(expected.get(e.getKey())))
            .count();
    return new Difference(lost, doubled, wrong);
  }

  /**
   * Of an output from the expected one, in rows.
   *
   * @param wrong with another completion, or not asked for
   */
  record Difference(long lost, long doubled, long wrong) {
    static final Difference NONE = new Difference(0, 0, 0);
  }

  static Path folder(Path parent, String name) throws IOException {
    return Files.createDirectories(parent.resolve(name));
  }
}
