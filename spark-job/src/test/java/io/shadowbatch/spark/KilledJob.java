package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.spark.Kill.Phase;
import io.shadowbatch.spark.Kill.Storage;
import io.shadowbatch.spark.Traces.Event;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;

/** A job that one fault hits, and that is then run again until it ends well. */
final class KilledJob {
  private static final Duration PHASE_LIMIT = Duration.ofSeconds(600);
  private static final Duration JOB_LIMIT = Duration.ofSeconds(600);
  private static final int RUNS_MAX = 4;
  private static final double ANSWER_MILLIS = 4;
  private static final long PAUSE_MILLIS = 300;

  /** A limit of a file's length: more than traces need, less than a chunk. */
  private static final int FULL_BYTES = 4096;

  private final Kill kill;
  private final Processes processes;
  private final StubCluster cluster;
  private final Hdfs hdfs;
  private final StubRows rows;
  private final Traces traces;
  private final String output;

  KilledJob(
      Kill kill, Processes processes, StubCluster cluster, Hdfs hdfs, StubRows rows, Path folder)
      throws IOException {
    this.kill = kill;
    this.processes = processes;
    this.cluster = cluster;
    this.hdfs = hdfs;
    this.rows = rows;
    this.traces = new Traces(StubRows.folder(folder, "traces" + kill.number()));
    String name = "/completions" + kill.number();
    this.output = kill.storage() == Storage.HDFS ? hdfs.uri() + name : folder + name;
  }

  /**
   * What became of it.
   *
   * @param computed requests, each counted as often as it was computed
   * @param distinct requests
   * @param when how far the job was
   * @param wasted for each attempt of a task how many of its requests were computed again
   */
  record Outcome(
      Kill kill,
      long computed,
      long distinct,
      String when,
      int reruns,
      List<Integer> wasted,
      StubRows.Difference difference,
      double seconds) {

    long recomputed() {
      return computed - distinct;
    }

    int mostWasted() {
      return wasted.stream().mapToInt(Integer::intValue).max().orElse(0);
    }

    @Override
    public String toString() {
      return "%3d %-12s %-13s %-5s %-28s reruns %d  recomputed %3d (most %2d)  %s  %.1f s"
          .formatted(
              kill.number(),
              kill.victim(),
              kill.phase(),
              kill.storage(),
              when,
              reruns,
              recomputed(),
              mostWasted(),
              difference,
              seconds);
    }
  }

  Outcome run() throws Exception {
    long begin = System.nanoTime();
    boolean waits = kill.phase().compareTo(Phase.DECODE) > 0;
    if (waits) traces.pause(PAUSE_MILLIS);
    Process job = start(0);
    Event event = await(job);
    Traces.sleep(kill.delayMillis());
    String when = "after " + traces.computed() + " requests";
    List<ProcessHandle> limited = strike(event, job);
    traces.pause(0);
    int reruns = 0;
    while (!ended(job, limited, reruns)) {
      assertThat(++reruns).as("runs of %s\n%s", kill, tail(reruns - 1)).isLessThan(RUNS_MAX);
      cluster.repair();
      if (hdfs != null) hdfs.repair();
      job = start(reruns);
    }
    cluster.repair();
    if (hdfs != null) hdfs.repair();
    assertThat(staged()).as(kill + ": files left in staging").isZero();
    return new Outcome(
        kill,
        traces.computed(),
        traces.attempts().stream().flatMap(List::stream).distinct().count(),
        when,
        reruns,
        traces.wasted(),
        rows.difference(output),
        (System.nanoTime() - begin) / 1e9);
  }

  private String name(int run) {
    return "kill" + kill.number() + "-run" + run;
  }

  private String tail(int run) throws IOException {
    return processes.tail(name(run));
  }

  private Process start(int run) throws IOException {
    List<String> conf = new ArrayList<>();
    conf.add("spark.hadoop." + PausedFiles.TRACES + "=" + traces.folder());
    conf.add("spark.hadoop.fs.file.impl=" + PausedFiles.Local.class.getName());
    conf.add("spark.hadoop.fs.hdfs.impl=" + PausedFiles.Hdfs.class.getName());
    for (String setting : Hdfs.settings()) conf.add("spark.hadoop." + setting);
    List<String> args = new ArrayList<>();
    args.addAll(List.of(traces.folder().toString(), "" + ANSWER_MILLIS, "" + ANSWER_MILLIS));
    args.addAll(StubRows.options(rows.input(), output));
    return cluster.job(name(run), conf, args);
  }

  /** Whether the job has ended well; if it ended otherwise it must run again. */
  private boolean ended(Process job, List<ProcessHandle> limited, int run) throws Exception {
    boolean ended = job.waitFor(limited.isEmpty() ? JOB_LIMIT.toSeconds() : 10, TimeUnit.SECONDS);
    for (ProcessHandle process : limited) limitFiles(process, "unlimited");
    limited.clear();
    if (!ended) ended = job.waitFor(JOB_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
    if (!ended) Processes.stop(job);
    assertThat(ended).as("%s: run %d ends\n%s", kill, run, tail(run)).isTrue();
    return job.exitValue() == 0;
  }

  private interface Found {
    Event look() throws IOException;
  }

  /** Waits for the fault's phase; its event, if it has one. */
  private Event await(Process job) throws Exception {
    Event none = new Event(-1, "");
    long total = rows.expected().size();
    return switch (kill.phase()) {
      case PLANNING -> until(job, () -> nth(traces.events(Traces.JOB), 0));
      case PREFILL -> until(job, () -> traces.prefillBegan() ? none : null);
      case DECODE -> until(job, () -> traces.computed() > kill.share() * total ? none : null);
      case BEFORE_COMMIT -> until(job, () -> nth(traces.events(Traces.COMMIT), commits()));
      case AFTER_COMMIT -> until(job, this::committed);
      case FINISH ->
          until(
              job,
              () -> {
                List<Event> ends = traces.events(Traces.SUCCESS);
                boolean all = traces.computed() > 0.8 * total;
                return all && !ends.isEmpty() ? ends.get(ends.size() - 1) : null;
              });
    };
  }

  private int commits() {
    return (int) (kill.share() * rows.expected().size() / StubRows.CHUNK);
  }

  private static Event nth(List<Event> events, int number) {
    return events.size() > number ? events.get(number) : null;
  }

  /** A commit whose file has its name. */
  private Event committed() throws IOException {
    if (kill.storage() == Storage.HDFS) return nth(traces.events(Traces.COMMITTED), commits());
    Event begun = nth(traces.events(Traces.COMMIT), commits());
    if (begun == null) return null;
    boolean there = Files.exists(Path.of(output, begun.text().split(" ")[1]));
    return there ? begun : null;
  }

  private Event until(Process job, Found found) throws Exception {
    long end = System.nanoTime() + PHASE_LIMIT.toNanos();
    while (true) {
      Event event = found.look();
      if (event != null) return event;
      assertThat(job.isAlive() && System.nanoTime() < end)
          .as("%s: its phase comes\n%s", kill, tail(0))
          .isTrue();
      Thread.sleep(10);
    }
  }

  /** Lets the fault happen; the processes that cannot write files. */
  private List<ProcessHandle> strike(Event event, Process job) throws Exception {
    List<ProcessHandle> limited = new ArrayList<>();
    switch (kill.victim()) {
      case EXECUTOR -> executor(event).destroyForcibly();
      case NATIVE_ABORT -> signal("SEGV", executor(event).pid());
      case DRIVER -> {
        job.destroyForcibly();
        job.waitFor();
      }
      case WORKER -> cluster.killWorker(Math.max(0, cluster.workerOf(event.process())));
      case DISK_FULL -> {
        executor(event); // there is one
        for (ProcessHandle process : cluster.executors()) {
          if (limitFiles(process, "" + FULL_BYTES)) limited.add(process);
        }
        assertThat(limited).as(kill + ": executors whose files are limited").isNotEmpty();
      }
      case DATA_NODE -> hdfs.killNode(kill.number() % 2);
    }
    return limited;
  }

  /** The one of the event, if it is one; else any. */
  private ProcessHandle executor(Event event) throws Exception {
    long end = System.nanoTime() + PHASE_LIMIT.toNanos();
    while (cluster.executors().isEmpty()) {
      assertThat(System.nanoTime()).as(kill + ": an executor starts").isLessThan(end);
      Thread.sleep(20);
    }
    List<ProcessHandle> executors = cluster.executors();
    return executors.stream()
        .filter(e -> e.pid() == event.process())
        .findAny()
        .orElse(executors.get(kill.number() % executors.size()));
  }

  static void signal(String name, long process) throws Exception {
    // the shell's own: the program of that name is not on every machine
    new ProcessBuilder("sh", "-c", "kill -" + name + " " + process).start().waitFor();
  }

  /**
   * Files of a process can grow no longer than this: to it, its disk is full (its writes fail with
   * EFBIG), without the rights that a small disk of its own would need.
   */
  private static boolean limitFiles(ProcessHandle process, String bytes) throws Exception {
    String soft = "--fsize=" + bytes + ":";
    return new ProcessBuilder("prlimit", "--pid", "" + process.pid(), soft).start().waitFor() == 0;
  }

  /** Files that no run will name. */
  private long staged() throws IOException {
    var staging = new org.apache.hadoop.fs.Path(output, "_shadowbatch/staging");
    FileSystem files = staging.getFileSystem(new Configuration());
    return files.exists(staging) ? files.getContentSummary(staging).getFileCount() : 0;
  }
}
