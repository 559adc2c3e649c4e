package io.shadowbatch.spark;

import io.shadowbatch.ledger.OutputFiles;
import io.shadowbatch.spark.InferenceRows.Finished;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobConfig.RowDefaults;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.Iterator;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.ForeachPartitionFunction;
import org.apache.spark.sql.Row;

/**
 * One partition through the executor's engine and into committed chunks. However it ends, what was
 * finished is committed first.
 */
record InferenceTask(
    CompletionSource.Opener opener, Settings settings, Commits commits, TaskCounters counters)
    implements ForeachPartitionFunction<Row> {

  private static final long serialVersionUID = 1L;

  /**
   * What all tasks of a run have in common.
   *
   * @param kept columns that pass through
   * @param raw whether prompts get the tokens that the model's file says to add, unless their row
   *     says otherwise
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
  public void call(Iterator<Row> rows) throws IOException {
    TaskContext task = TaskContext.get();
    ChunkWriter chunks = ChunkWriter.open(commits, task.partitionId(), counters);
    OutputFiles files = OutputFiles.of(commits.store().open(), new Path(commits.output()));
    StopSignal stop = StopSignal.enter(commits, files);
    try {
      if (!stop.raised()) infer(rows, task, chunks, stop);
    } finally {
      stop.exit(commits.runId());
    }
  }

  private void infer(Iterator<Row> rows, TaskContext task, ChunkWriter chunks, StopSignal stop) {
    RescuingSource source = RescuingSource.open(opener, settings.model(), settings.engine(), task);
    InferenceRows inference =
        new InferenceRows(source, settings, counters, task.attemptNumber(), chunks::isDone);
    BooleanSupplier cancelled =
        () -> {
          chunks.commitIfOld(); // asked while the engine works: nothing else waits as patiently
          return task.isInterrupted() || stop.raised();
        };
    try {
      Iterator<Finished> finished = inference.run(rows, cancelled);
      while (finished.hasNext()) {
        if (cancelled.getAsBoolean()) throw new CancellationException("told to end");
        chunks.add(finished.next());
      }
      chunks.commit();
      String engine = source.engineOn(SparkEnv.get().executorId());
      counters.partitions().add(inference.outcome(task.partitionId(), engine));
    } catch (UncheckedIOException e) {
      throw e; // what cannot be committed now cannot be committed below
    } catch (RuntimeException e) {
      ended(e, task, chunks, stop);
    } finally {
      inference.abandon();
    }
  }

  /** Commits what is finished; then the task ends as it was told to, or fails as it did. */
  private static void ended(
      RuntimeException cause, TaskContext task, ChunkWriter chunks, StopSignal stop) {
    boolean interrupted = Thread.interrupted(); // or files could not be written
    try {
      chunks.commit();
    } catch (RuntimeException e) {
      cause.addSuppressed(e);
    }
    if (interrupted) Thread.currentThread().interrupt();
    boolean told = cause instanceof CancellationException && stop.raised();
    if (!told || task.isInterrupted() || StopSignal.isLeaving()) throw cause;
  }
}
