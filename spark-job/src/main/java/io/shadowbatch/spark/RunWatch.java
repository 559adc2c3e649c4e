package io.shadowbatch.spark;

import io.shadowbatch.spark.JobException.Exit;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Watches a run from the driver: writes its status every few seconds, and stops it when a rule of
 * the user's is broken or somebody asks. Tasks then commit what they have; those that do not end
 * within a minute are cancelled.
 */
final class RunWatch implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(RunWatch.class);
  private static final long LOOK_MILLIS = 250;
  private static final int LOOKS_PER_STATUS = 20;
  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(60);

  /**
   * Why a run ends before its rows do.
   *
   * @param exit how the process ends
   */
  record Stop(String reason, Exit exit) {}

  private final SparkContext context;
  private final String group;
  private final RunFolder folder;
  private final StopRules rules;
  private final Map<String, Object> status;
  private final Instant start;
  private final long errorsMax;
  private final ScheduledExecutorService timer =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "shadowbatch-watch");
            thread.setDaemon(true);
            return thread;
          });
  private volatile Progress progress;
  private volatile Stop stop;
  private long stopped;
  private int looks;

  /**
   * A watch that has begun.
   *
   * @param group of the run's Spark jobs
   * @param status what the run's status says all the time
   * @param errorsMax error rows, of all runs of the output, beyond which the run is of no use
   */
  RunWatch(
      SparkContext context,
      String group,
      RunFolder folder,
      StopRules rules,
      Instant start,
      Map<String, Object> status,
      long errorsMax) {
    this.context = context;
    this.group = group;
    this.folder = folder;
    this.rules = rules;
    this.start = start;
    this.status = status;
    this.errorsMax = errorsMax;
    timer.scheduleWithFixedDelay(this::look, LOOK_MILLIS, LOOK_MILLIS, TimeUnit.MILLISECONDS);
  }

  /** The inference begins; tasks hear of a stop that came while it was planned. */
  synchronized void follow(Progress running) {
    progress = running;
    if (stop != null) folder.stop(stop.reason());
  }

  /** Why the run was stopped; null if it was not. */
  Stop stop() {
    return stop;
  }

  /** Stops the run; the first reason counts. */
  synchronized void stop(Stop why) {
    if (stop != null) return;
    stop = why;
    stopped = System.nanoTime();
    LOG.warn("the run is stopped: {}", why.reason());
    if (progress == null)
      context.cancelJobGroup(group); // still planning: there is nothing to commit
    else folder.stop(why.reason());
  }

  private void look() {
    try {
      check();
      if (++looks % LOOKS_PER_STATUS == 0) folder.write("status.json", described());
      if (stop != null && System.nanoTime() - stopped > PATIENCE_NANOS)
        context.cancelJobGroup(group);
    } catch (RuntimeException e) { // the timer would fall silent
      LOG.warn("status cannot be written: {}", Failures.firstLine(e));
    }
  }

  private void check() {
    Tally done = progress == null ? Tally.none() : progress.now();
    int engines = rules.cost() == 0 ? 1 : Math.max(1, context.getExecutorMemoryStatus().size() - 1);
    String broken = rules.broken(start, Instant.now(), engines, done);
    if (broken != null) stop(new Stop(broken, Exit.STOPPED));
    long errors = done.under(Tally.ERROR).values().stream().mapToLong(Long::longValue).sum();
    if (rules.tooMany(errors)) {
      String reason = "--max-errors %d: %d rows are errors".formatted(rules.errors(), errors);
      stop(new Stop(reason, Exit.ERROR_BUDGET));
    } else if (errors > errorsMax) {
      String reason = "--max-error-rate: %d rows are errors already".formatted(errors);
      stop(new Stop(reason, Exit.ERROR_BUDGET));
    }
  }

  private Map<String, Object> described() {
    Map<String, Object> map = new LinkedHashMap<>(status);
    map.put("state", stop == null ? "running" : "stopping");
    map.put("seen", Instant.now().toString());
    if (progress != null) map.put("computed", progress.now().counts());
    return map;
  }

  @Override
  public void close() {
    timer.shutdownNow();
    try {
      timer.awaitTermination(10, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
