package io.shadowbatch.spark;

import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobConfig.RowDefaults;
import java.io.Serializable;
import java.util.Iterator;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.util.TaskCompletionListener;

/**
 * One partition through the executor's engine. The engine is shared by the tasks of the executor;
 * this only opens it and starts the partition's {@link InferenceRows}.
 */
record InferenceTask(CompletionSource.Opener opener, Settings settings, TaskCounters counters)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;

  /**
   * What all tasks of a run have in common.
   *
   * @param kept columns that pass through
   * @param raw whether prompts get the tokens that the model's file says to add
   */
  record Settings(
      String runId,
      String engineName,
      ModelCard model,
      EngineChoice engine,
      RowDefaults rows,
      Sharing sharing,
      int kept,
      RawPrompts raw)
      implements Serializable {}

  /** Whether prompts come raw from the user or out of a chat template. */
  enum RawPrompts {
    RAW,
    RENDERED
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskContext task = TaskContext.get();
    CompletionSource source = opener.open(settings.model(), settings.engine());
    int attempt = task == null ? 0 : task.attemptNumber();
    InferenceRows inference = new InferenceRows(source, settings, counters, attempt);
    Iterator<Row> completions = inference.run(rows, () -> task != null && task.isInterrupted());
    if (task != null) {
      TaskCompletionListener ended = context -> inference.abandon();
      task.addTaskCompletionListener(ended);
    }
    return thenRecorded(completions, inference, task);
  }

  /** The rows, and behind the last of them the partition's outcome for the driver. */
  private Iterator<Row> thenRecorded(
      Iterator<Row> completions, InferenceRows inference, TaskContext task) {
    return new Iterator<>() {
      private boolean recorded;

      @Override
      public boolean hasNext() {
        if (completions.hasNext()) return true;
        if (!recorded) {
          recorded = true;
          int partition = task == null ? 0 : task.partitionId();
          String executor = task == null ? "driver" : SparkEnv.get().executorId();
          counters.partitions().add(inference.outcome(partition, executor));
        }
        return false;
      }

      @Override
      public Row next() {
        return completions.next();
      }
    };
  }
}
