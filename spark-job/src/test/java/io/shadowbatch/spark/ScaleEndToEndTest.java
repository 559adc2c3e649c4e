package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * As many rows as one wants through plan, commits, a killed driver and the run that finishes: what
 * the job itself takes, for the model answers at once.
 */
@Timeout(3600)
class ScaleEndToEndTest {
  private static final long ROWS = Long.getLong("shadowbatch.scale", 100_000);
  private static final int CHUNK = 1024;
  private static final Duration LIMIT = Duration.ofMinutes(30);
  private static final Pattern INFERENCE = Pattern.compile("after ([0-9.]+) s: ShadowBatch inf");
  private static final Pattern HEAP = Pattern.compile("heap after the job: (\\d+) MB");

  @TempDir Path folder;

  /** Goal: rows by the million are planned, committed, and left out when the job goes on. */
  @Test
  void aJobKilledHalfWayIsFinished() throws Exception {
    Traces traces = new Traces(StubRows.folder(folder, "traces"));
    Path output = folder.resolve("completions");
    double killed;
    double resumed;
    long before;
    try (Processes processes = new Processes(folder)) {
      long begin = System.nanoTime();
      Process first = start(processes, "first", traces, output);
      long end = begin + LIMIT.toNanos();
      while (traces.computed() < ROWS / 2) {
        assertThat(first.isAlive() && System.nanoTime() < end).as(processes.tail("first")).isTrue();
        Thread.sleep(200);
      }
      first.destroyForcibly();
      first.waitFor();
      killed = (System.nanoTime() - begin) / 1e9;
      before = traces.computed();
      begin = System.nanoTime();
      processes.expect(0, start(processes, "second", traces, output), "second", LIMIT);
      resumed = (System.nanoTime() - begin) / 1e9;
    }
    List<Double> until = untilInference(traces);
    System.out.printf(
        "rows %d: killed after %.1f s with %d computed, finished in %.1f s, %.0f rows/s;"
            + " recomputed %d; before the inference %.1f s and, with what was committed left out,"
            + " %.1f s; driver's heap %s MB, %d files%n",
        ROWS,
        killed,
        before,
        resumed,
        ROWS / (killed + resumed),
        traces.computed() - ROWS,
        until.get(0),
        until.get(1),
        found(HEAP, Files.readString(folder.resolve("second.log"))),
        files(output));
    Row row =
        LocalSpark.spark()
            .read()
            .parquet(output.toString())
            .selectExpr("count(*)", "count(distinct request_id)")
            .first();
    assertThat(row.getLong(0)).as("rows").isEqualTo(ROWS);
    assertThat(row.getLong(1)).as("different rows").isEqualTo(ROWS);
    assertThat(traces.wasted()).allMatch(n -> n <= CHUNK);
  }

  private static Process start(Processes processes, String name, Traces traces, Path output)
      throws IOException {
    List<String> args = new ArrayList<>(List.of(traces.folder().toString(), "0", "0"));
    args.addAll(
        List.of(
            "model=" + LocalSpark.model(),
            "output=" + output,
            "chunk-rows=" + CHUNK,
            "input-format=" + SyntheticPrompts.class.getName(),
            "input-option=rows=" + ROWS,
            "input-option=bytes=200",
            "input-option=seed=7",
            "input-option=slices=8"));
    List<String> conf = List.of("spark.local.dir=" + output.resolveSibling("local"));
    return StubCluster.driver(processes, name, "local[2]", conf, args);
  }

  /** Seconds before the inference began, of each run. */
  private static List<Double> untilInference(Traces traces) throws IOException {
    return traces.events(Traces.JOB).stream()
        .map(event -> found(INFERENCE, event.text()))
        .filter(seconds -> !seconds.isEmpty())
        .map(Double::valueOf)
        .toList();
  }

  private static String found(Pattern pattern, String text) {
    Matcher matcher = pattern.matcher(text);
    return matcher.find() ? matcher.group(1) : "";
  }

  private static long files(Path output) throws IOException {
    try (Stream<Path> files = Files.list(output)) {
      return files.filter(f -> f.getFileName().toString().startsWith("part-")).count();
    }
  }
}
