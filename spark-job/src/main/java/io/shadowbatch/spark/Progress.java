package io.shadowbatch.spark;

import java.io.PrintStream;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.spark.ExecutorLostFailure;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskEndReason;
import org.apache.spark.TaskKilled;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import scala.collection.Iterable;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Prints a whole line every few seconds while the inference runs, from what tasks send home with
 * their heartbeats. Counts nothing that a result depends on.
 */
final class Progress extends SparkListener implements AutoCloseable {

  private static final int SECONDS = 2;

  private final SparkContext context;
  private final PrintStream out;
  private final long rowsTotal;
  private final long start = System.nanoTime();
  private final Map<Long, Map<String, Long>> tasks = new ConcurrentHashMap<>();
  private final Map<String, Long> wasted = new ConcurrentHashMap<>();
  private final ScheduledExecutorService timer;
  private long rowsShown = -1;

  private Progress(SparkContext context, PrintStream out, long rowsTotal) {
    this.context = context;
    this.out = out;
    this.rowsTotal = rowsTotal;
    this.timer =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "shadowbatch-progress");
              thread.setDaemon(true);
              return thread;
            });
  }

  static Progress start(SparkContext context, PrintStream out, long rowsTotal) {
    Progress progress = new Progress(context, out, rowsTotal);
    context.addSparkListener(progress);
    progress.timer.scheduleWithFixedDelay(progress::print, SECONDS, SECONDS, TimeUnit.SECONDS);
    return progress;
  }

  void announce(int partitions) {
    out.printf(
        "[shadowbatch] %,d completions to write, in %,d partitions%n", rowsTotal, partitions);
    out.flush();
  }

  @Override
  public void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate update) {
    for (var task : CollectionConverters.asJava(update.accumUpdates())) {
      note(((Number) task._1()).longValue(), task._4());
    }
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd end) {
    if (end.taskInfo() == null) return;
    if (end.taskInfo().successful()) {
      note(end.taskInfo().taskId(), end.taskInfo().accumulables());
      return;
    }
    Map<String, Long> lost = tasks.remove(end.taskInfo().taskId());
    if (lost == null) return;
    long committed = lost.getOrDefault(TaskCounters.COMMITTED_TOKENS, 0L);
    long tokens = lost.getOrDefault(Tally.NEW_TOKENS, 0L) - committed;
    if (tokens > 0) wasted.merge(cause(end.reason()), tokens, Long::sum);
  }

  private static String cause(TaskEndReason reason) {
    if (reason instanceof ExecutorLostFailure) return "executor_lost";
    if (reason instanceof TaskKilled) return "task_killed";
    return "task_failed";
  }

  /**
   * Tokens that were computed and not committed, by cause: of attempts that failed, as far as their
   * last heartbeat told.
   */
  Map<String, Long> wasted() {
    return new TreeMap<>(wasted);
  }

  /** What tasks have computed so far. */
  Tally now() {
    Tally sum = Tally.none();
    for (Map<String, Long> task : tasks.values()) sum.add(new Tally(task));
    return sum;
  }

  private void note(long task, Iterable<AccumulableInfo> values) {
    Map<String, Long> counts = new HashMap<>();
    for (AccumulableInfo value : CollectionConverters.asJava(values)) {
      String name = value.name().isDefined() ? value.name().get() : "";
      if (name.startsWith(TaskCounters.PREFIX) && value.update().isDefined()) {
        counts.put(
            name.substring(TaskCounters.PREFIX.length()),
            ((Number) value.update().get()).longValue());
      }
    }
    if (!counts.isEmpty()) tasks.put(task, counts);
  }

  private synchronized void print() {
    Tally now = now();
    long rows = Math.min(now.get(Tally.ROWS), rowsTotal);
    double seconds = (System.nanoTime() - start) / 1e9;
    if (rows == rowsShown && seconds < 10) return;
    rowsShown = rows;
    long fresh = now.get(Tally.NEW_TOKENS);
    String left = "";
    if (rows > 0 && rows < rowsTotal) {
      long eta = Math.round(seconds * (rowsTotal - rows) / rows);
      left = String.format(Locale.ROOT, ", about %d:%02d left", eta / 60, eta % 60);
    }
    out.printf(
        Locale.ROOT,
        "[shadowbatch] %,d of %,d rows, %,d new tokens (%.0f a second), %.0f s%s%n",
        rows,
        rowsTotal,
        fresh,
        fresh / seconds,
        seconds,
        left);
    out.flush();
  }

  @Override
  public void close() {
    timer.shutdownNow();
    context.removeSparkListener(this);
  }
}
