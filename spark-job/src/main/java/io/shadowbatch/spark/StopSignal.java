package io.shadowbatch.spark;

import io.shadowbatch.ledger.OutputFiles;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the tasks of a run to commit what they have and to end: a file in the run's folder, which
 * each executor looks for once a second. An executor that is told to end itself stops its tasks the
 * same way, and waits for them a little.
 */
final class StopSignal {
  static final String FILE = "stop.json";

  private static final Logger LOG = LoggerFactory.getLogger(StopSignal.class);
  private static final long LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final long LEAVE_MILLIS = 8000;

  private static final Map<String, StopSignal> OF_RUNS = new ConcurrentHashMap<>();

  static {
    Runtime.getRuntime().addShutdownHook(new Thread(StopSignal::leave, "shadowbatch-leave"));
  }

  private static volatile boolean leaving;

  private final OutputFiles files;
  private final Path file;
  private volatile boolean raised;
  private long looked = System.nanoTime();
  private int tasks;

  private StopSignal(OutputFiles files, Path file) {
    this.files = files;
    this.file = file;
  }

  /** That of a run, for one more task of this process, which must {@link #exit} it. */
  static StopSignal enter(Commits commits, OutputFiles files) {
    Path output = new Path(commits.output());
    return OF_RUNS.compute(
        commits.runId(),
        (run, held) -> {
          Path file = new Path(RunFolder.of(output, run), FILE);
          StopSignal signal = held == null ? new StopSignal(files, file) : held;
          signal.tasks++;
          return signal;
        });
  }

  /** The task has committed what it had. */
  void exit(String runId) {
    OF_RUNS.compute(runId, (run, held) -> --tasks == 0 ? null : this);
  }

  /** Whether tasks should end: asked often. */
  boolean raised() {
    if (leaving || raised) return true;
    look();
    return raised;
  }

  private synchronized void look() {
    long now = System.nanoTime();
    if (raised || now - looked < LOOK_NANOS) return;
    looked = now;
    try {
      raised = files.exists(file);
    } catch (IOException e) {
      LOG.warn("cannot look for {}: {}", file, Failures.firstLine(e));
    }
  }

  /** This process was told to end: its tasks commit what they have, if that takes no longer. */
  private static void leave() {
    leaving = true;
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(LEAVE_MILLIS);
    while (!OF_RUNS.isEmpty() && System.nanoTime() < end) {
      try {
        Thread.sleep(20);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  /** Whether this process was told to end. */
  static boolean isLeaving() {
    return leaving;
  }
}
