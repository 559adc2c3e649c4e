package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.shadowbatch.spark.Traces.Event;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Several attempts of a task live at the same time, or a stage runs again: on a cluster of two
 * hosts, for Spark starts no second copy of a task on the host of the first.
 */
@Timeout(900)
class AttemptsEndToEndTest {
  private static final Duration LIMIT = Duration.ofSeconds(300);
  private static final int ROWS = 300;
  private static final double ANSWER_MILLIS = 4;

  /** About what a chunk waits for more rows. */
  private static final String CHUNK_MINUTES = "chunk-minutes=0.02";

  @TempDir Path folder;

  private Processes processes;
  private StubCluster cluster;
  private StubRows rows;
  private Traces traces;
  private Path output;

  @BeforeEach
  void open() throws Exception {
    boolean wanted = Integer.getInteger("shadowbatch.kills", 5) >= 20;
    if (!wanted) System.out.println("skipped: attempts sleep for minutes; -Pkills lets them");
    assumeTrue(wanted, "with -Pkills only");
    rows = StubRows.make(folder, ROWS);
    traces = new Traces(StubRows.folder(folder, "traces"));
    output = folder.resolve("completions");
    processes = new Processes(folder);
    cluster =
        new StubCluster(processes, folder.resolve("cluster"), List.of("127.0.0.1", "127.0.0.2"));
  }

  @AfterEach
  void close() throws Exception {
    if (cluster != null) cluster.close();
    if (processes != null) processes.close();
  }

  /** Goal: two copies of a task that commit by turns write each row once. */
  @Test
  void speculationDoublesNoRow() throws Exception {
    Process job =
        start(
            "job",
            500,
            "spark.speculation=true",
            // rows are read ahead, so that a slow task has read as many as others
            "spark.speculation.efficiency.enabled=false",
            "spark.speculation.interval=200ms",
            "spark.speculation.quantile=0.5",
            "spark.speculation.minTaskRuntime=3s");
    processes.expect(0, job, "job", LIMIT);
    assertThat(traces.attempts().size())
        .as("attempts, a copy of the slow one among them")
        .isGreaterThan(StubRows.PARTITIONS);
    assertOnce();
  }

  /** Goal: a task that slept while another attempt did its work commits none of it again. */
  @Test
  void aTaskThatWakesUpAfterItsRetryDoublesNoRow() throws Exception {
    traces.pause(2000);
    Process job =
        start(
            "job",
            ANSWER_MILLIS,
            "spark.network.timeout=12s",
            "spark.network.timeoutInterval=2s",
            // others soon stop waiting for what the sleeper shuffled
            "spark.shuffle.io.connectionTimeout=6s",
            "spark.shuffle.io.maxRetries=0");
    Event commit = await(() -> first(traces.events(Traces.COMMIT)));
    int host = freeze(commit.process());
    traces.pause(0);
    Path chunk = output.resolve(commit.text().split(" ")[1]);
    await(() -> Files.exists(chunk) ? chunk : null);
    thaw(commit.process(), host);
    processes.expect(0, job, "job", LIMIT);
    assertOnce();
  }

  /** Goal: a task of a run that is over commits nothing into the output of the next run. */
  @Test
  void aTaskOfADeadRunCommitsNothing() throws Exception {
    traces.pause(2000);
    Process dead = start("dead", ANSWER_MILLIS);
    Event commit = await(() -> first(traces.events(Traces.COMMIT)));
    ProcessHandle executor = ProcessHandle.of(commit.process()).orElseThrow();
    int host = freeze(commit.process());
    dead.destroyForcibly();
    dead.waitFor();
    traces.pause(0);
    processes.expect(0, start("job", ANSWER_MILLIS), "job", LIMIT);
    thaw(commit.process(), host);
    executor.onExit().get(LIMIT.toSeconds(), TimeUnit.SECONDS);
    assertThat(output.resolve(commit.text().split(" ")[1])).doesNotExist();
    assertOnce();
  }

  /** Goal: a stage that runs again, because what it shuffled is gone, doubles no row. */
  @Test
  void lostShuffleFilesDoubleNoRow() throws Exception {
    Process job = start("job", ANSWER_MILLIS);
    await(() -> traces.prefillBegan() ? traces : null);
    assertThat(deleteShuffled()).as("shuffle files that were deleted").isPositive();
    processes.expect(0, job, "job", LIMIT);
    assertThat(processes.log("job")).content().contains("FetchFailed");
    assertOnce();
  }

  private Process start(String name, double slowMillis, String... conf) throws IOException {
    List<String> all = new ArrayList<>(List.of(conf));
    all.add("spark.hadoop." + PausedFiles.TRACES + "=" + traces.folder());
    all.add("spark.hadoop.fs.file.impl=" + PausedFiles.Local.class.getName());
    List<String> args = new ArrayList<>();
    args.addAll(List.of(traces.folder().toString(), "" + ANSWER_MILLIS, "" + slowMillis));
    args.addAll(StubRows.options(rows.input(), output.toString()));
    args.add(CHUNK_MINUTES);
    return cluster.job(name, all, args);
  }

  private void assertOnce() throws IOException {
    System.out.printf("requests computed again, by attempt: %s%n", traces.wasted());
    assertThat(rows.difference(output.toString())).isEqualTo(StubRows.Difference.NONE);
    assertThat(output.resolve("_SUCCESS")).exists();
  }

  /** Stops an executor and its worker, as if their host had stopped; the worker's number. */
  private int freeze(long executor) throws Exception {
    int host = cluster.workerOf(executor);
    KilledJob.signal("STOP", executor);
    KilledJob.signal("STOP", cluster.worker(host).pid());
    return host;
  }

  private void thaw(long executor, int host) throws Exception {
    KilledJob.signal("CONT", executor);
    Thread.sleep(1000); // what its tasks do before their worker ends them
    KilledJob.signal("CONT", cluster.worker(host).pid());
  }

  private long deleteShuffled() throws IOException {
    long deleted = 0;
    try (Stream<Path> files = Files.walk(folder.resolve("cluster"))) {
      for (Path file : files.filter(f -> f.toString().contains("/shuffle_")).toList()) {
        if (Files.deleteIfExists(file)) deleted++;
      }
    }
    return deleted;
  }

  private static Event first(List<Event> events) {
    return events.isEmpty() ? null : events.get(0);
  }

  private static <T> T await(Callable<T> found) throws Exception {
    long end = System.nanoTime() + LIMIT.toNanos();
    while (System.nanoTime() < end) {
      T value = found.call();
      if (value != null) return value;
      Thread.sleep(5);
    }
    throw new AssertionError("waited for " + LIMIT);
  }
}
