package io.shadowbatch.spark;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/** Sums what tasks cost while it listens, by stage. */
final class TaskCosts extends SparkListener implements AutoCloseable {

  private static final String LAST = "shadowbatch.bench.last";
  private static final long WAIT_SECONDS = 60;

  /**
   * Tasks of a stage, or of all.
   *
   * @param cpuNanos of the threads that ran them
   * @param gcMillis that the process spent on garbage meanwhile
   */
  record Cost(long tasks, long cpuNanos, long shuffleBytes, long spilledBytes, long gcMillis) {
    static final Cost NONE = new Cost(0, 0, 0, 0, 0);

    Cost plus(Cost other) {
      return new Cost(
          tasks + other.tasks,
          cpuNanos + other.cpuNanos,
          shuffleBytes + other.shuffleBytes,
          spilledBytes + other.spilledBytes,
          gcMillis + other.gcMillis);
    }
  }

  private final SparkContext context;
  private final Map<Integer, Cost> stages = new LinkedHashMap<>();
  private final CountDownLatch seen = new CountDownLatch(1);
  private int lastJob = -1;

  private TaskCosts(SparkContext context) {
    this.context = context;
  }

  static TaskCosts listen(SparkContext context) {
    TaskCosts costs = new TaskCosts(context);
    context.addSparkListener(costs);
    return costs;
  }

  @Override
  public synchronized void onJobStart(SparkListenerJobStart start) {
    Properties properties = start.properties();
    if (properties != null && properties.getProperty(LAST) != null) lastJob = start.jobId();
  }

  @Override
  public synchronized void onJobEnd(SparkListenerJobEnd end) {
    if (end.jobId() == lastJob) seen.countDown();
  }

  @Override
  public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
    TaskMetrics m = end.taskMetrics();
    if (m == null || lastJob >= 0) return;
    Cost cost =
        new Cost(
            1,
            m.executorCpuTime(),
            m.shuffleWriteMetrics().bytesWritten(),
            m.diskBytesSpilled(),
            m.jvmGCTime());
    stages.merge(end.stageId(), cost, Cost::plus);
  }

  /**
   * Costs by stage, of all that ended before; events come in order, so a last job marks the end.
   */
  Map<Integer, Cost> stages() {
    context.setLocalProperty(LAST, "true");
    try {
      new JavaSparkContext(context).parallelize(java.util.List.of(1), 1).count();
      if (!seen.await(WAIT_SECONDS, TimeUnit.SECONDS)) {
        throw new IllegalStateException("Spark's events are " + WAIT_SECONDS + " s late");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } finally {
      context.setLocalProperty(LAST, null);
    }
    synchronized (this) {
      return new LinkedHashMap<>(stages);
    }
  }

  @Override
  public void close() {
    context.removeSparkListener(this);
  }
}
