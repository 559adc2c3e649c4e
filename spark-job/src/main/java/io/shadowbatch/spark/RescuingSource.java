package io.shadowbatch.spark;

import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import org.apache.spark.TaskContext;
import org.apache.spark.util.TaskCompletionListener;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a task computes with: the executor's engine, and once that fails a {@link GuardedSource},
 * with the requests under way as suspects. Answers with an error that may pass are asked for once
 * more.
 *
 * <p>Any attempt but a partition's first is guarded from the start: the first may have ended its
 * executor, and who comes next cannot tell that from an orderly end. Being guarded for nothing
 * costs the opening of an engine, and no bit of an answer.
 *
 * <p>Not on GPUs: a second process would need the weights on the device a second time, and a device
 * that is lost ends its executor anyway.
 */
final class RescuingSource implements CompletionSource {

  private static final Logger LOG = LoggerFactory.getLogger(RescuingSource.class);

  /**
   * Errors that may pass: a wrong bit of the machine's memory, or memory that others needed. Those
   * of the prompt or its parameters come again each time, a request that ended its process was
   * computed again already, and time or budgets that are spent stay spent until another run.
   */
  private static final Set<ErrorCode> MAY_PASS =
      Set.of(ErrorCode.ENGINE_ERROR, ErrorCode.OUT_OF_MEMORY);

  private static final int TRIES = 2;

  private final GuardedSource guard;
  private CompletionSource source;
  private EngineMetrics before = EngineMetrics.NONE; // of the engine that failed
  private final String suffix;

  /**
   * @param first what computes until it fails; may be the guard
   * @param guard what computes then; null if nothing does
   * @param suffix of the name of an engine that is the task's own
   */
  RescuingSource(CompletionSource first, GuardedSource guard, String suffix) {
    this.source = first;
    this.guard = guard;
    this.suffix = suffix;
  }

  /**
   * For a task; what it takes is given back when the task ends.
   *
   * @param task null outside of tasks
   */
  static RescuingSource open(
      CompletionSource.Opener opener, ModelCard model, EngineChoice choice, TaskContext task) {
    if (Gpus.chosen(choice)) return new RescuingSource(opener.open(model, choice), null, "");
    EngineChoice placed = Gpus.ofThisTask(choice);
    ModelCard here = model.at(ModelFiles.here(model.location()));
    BooleanSupplier ended = () -> task != null && task.isInterrupted();
    GuardedSource guard = new GuardedSource(opener, here, placed, ended);
    if (task == null || task.attemptNumber() == 0) {
      CompletionSource engine = opener.open(model, choice);
      listen(task, guard);
      return new RescuingSource(engine, guard, "");
    }
    LOG.info("attempt {} of partition {} is guarded", task.attemptNumber(), task.partitionId());
    listen(task, guard);
    return new RescuingSource(guard, guard, " guarded " + task.partitionId());
  }

  private static void listen(TaskContext task, GuardedSource guard) {
    if (task == null) return;
    TaskCompletionListener close = context -> guard.close();
    task.addTaskCompletionListener(close);
  }

  /** A name for the engine: tasks of one executor that share none have names of their own. */
  String engineOn(String executor) {
    return executor + suffix;
  }

  @Override
  public int[] encode(String prompt) {
    return source.encode(prompt);
  }

  @Override
  public int[] encodeRaw(String prompt) {
    return source.encodeRaw(prompt);
  }

  @Override
  public String token(int id) {
    return source.token(id);
  }

  @Override
  public int contextTokens() {
    return source.contextTokens();
  }

  @Override
  public StepCosts costs() {
    return source.costs();
  }

  @Override
  public KvChoice choice() {
    return source.choice();
  }

  @Override
  public EngineMetrics metrics() {
    return before.plus(source.metrics());
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    return new Answers(requests, cancelled);
  }

  /** A request that is under way. */
  private record Tried(Request request, int times) {}

  private final class Answers implements Iterator<Completion> {
    private final Pulled pulled;
    private final BooleanSupplier cancelled;
    private Iterator<Completion> completions;

    Answers(Iterator<Request> requests, BooleanSupplier cancelled) {
      this.pulled = new Pulled(requests);
      this.cancelled = cancelled;
      this.completions = source.run(pulled, cancelled);
    }

    @Override
    public boolean hasNext() {
      while (true) {
        try {
          return completions.hasNext();
        } catch (IllegalStateException e) {
          rescue(e);
        }
      }
    }

    @Override
    public Completion next() {
      while (true) {
        if (!hasNext()) throw new NoSuchElementException("no request is left");
        try {
          Completion answer = completions.next();
          if (!pulled.triesAgain(answer)) return pulled.finished(answer);
        } catch (IllegalStateException e) {
          rescue(e);
        }
      }
    }

    /** Goes on guarded; throws what cannot be mended so. */
    private void rescue(IllegalStateException e) {
      boolean mendable = guard != null && source != guard && !(e instanceof CancellationException);
      if (!mendable || Engine.isDeviceLost(e.getCause())) throw e;
      if (Engine.isStalled(e.getCause())) ExecutorEngine.stalled(e.getCause());
      LOG.warn(
          "{}: {} requests under way are computed again, guarded",
          Failures.firstLine(e),
          pulled.underWay.size());
      before = source.metrics();
      source = guard;
      guard.suspect(pulled.underWay.values().stream().map(Tried::request).toList());
      completions = guard.run(pulled, cancelled);
    }
  }

  /** The requests, with those to try again, and what is known of them while they are under way. */
  private static final class Pulled implements Iterator<Request> {
    private final Iterator<Request> requests;
    private final Map<Long, Tried> underWay = new LinkedHashMap<>();
    private final Deque<Tried> again = new ArrayDeque<>();

    Pulled(Iterator<Request> requests) {
      this.requests = requests;
    }

    @Override
    public boolean hasNext() {
      return !again.isEmpty() || requests.hasNext();
    }

    @Override
    public Request next() {
      Tried next = again.isEmpty() ? new Tried(requests.next(), 1) : again.poll();
      underWay.put(next.request().id(), next);
      return next.request();
    }

    /** True if the answer is an error that may pass, and another is asked for. */
    boolean triesAgain(Completion answer) {
      if (answer.error() == null || !MAY_PASS.contains(answer.error().code())) return false;
      Tried tried = underWay.get(answer.id());
      if (tried.times() == TRIES) return false;
      underWay.remove(answer.id());
      again.add(new Tried(tried.request(), tried.times() + 1));
      return true;
    }

    Completion finished(Completion answer) {
      Tried tried = underWay.remove(answer.id());
      if (answer.error() == null || tried.times() == 1) return answer;
      return answer.with(answer.error().after(tried.times() - 1 + answer.error().attempts()));
    }
  }
}
