package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import org.apache.spark.TaskContext;

/**
 * A {@link FakeModel} that takes its time, and writes down on the local disk what it computes, so
 * that a test sees how far a job is and counts what was computed twice.
 */
final class TracedModel extends FakeModel {

  /**
   * Opens one for each attempt of a task.
   *
   * @param folder of {@link Traces}
   * @param answerMillis that a request takes
   * @param slowMillis that a request takes in the first attempt of partition 0
   */
  record Opener(String folder, double answerMillis, double slowMillis)
      implements CompletionSource.Opener {
    @Override
    public CompletionSource open(ModelCard model, EngineChoice choice) {
      TaskContext task = TaskContext.get();
      boolean first = task != null && task.attemptNumber() == 0; // others have their own process
      boolean slow = first && task.partitionId() == 0;
      return new TracedModel(folder, slow ? slowMillis : answerMillis);
    }
  }

  private final String folder;
  private final double answerMillis;
  private double owedMillis;

  private TracedModel(String folder, double answerMillis) {
    super(underWay -> 0, -1);
    this.folder = folder;
    this.answerMillis = answerMillis;
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    Traces.Writer trace = Traces.attempt(folder, TaskContext.get());
    Map<Long, String> keys = new ConcurrentHashMap<>();
    Iterator<Completion> answers =
        super.run(
            new Iterator<>() {
              @Override
              public boolean hasNext() {
                return requests.hasNext();
              }

              @Override
              public Request next() {
                Request request = requests.next();
                if (keys.isEmpty()) trace.line(Traces.PREFILL);
                keys.put(request.id(), key(request));
                return request;
              }
            },
            cancelled);
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return answers.hasNext();
      }

      @Override
      public Completion next() {
        Completion answer = answers.next();
        pause();
        trace.line(keys.get(answer.id()));
        return answer;
      }
    };
  }

  /** Sleeps in whole milliseconds, which is what a sleep can do. */
  private void pause() {
    owedMillis += answerMillis;
    long whole = (long) owedMillis;
    owedMillis -= whole;
    if (whole > 0) Traces.sleep(whole);
  }

  /** Names a request by its prompt and its seed: one sample of a row. */
  private static String key(Request request) {
    long hash = request.params().seed();
    for (int token : request.tokens()) hash = PrefixSignature.mix(hash * 31 + token);
    return HexFormat.of().toHexDigits(hash); // of Traces.KEY_CHARS
  }
}
