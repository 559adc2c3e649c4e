package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.engine.WastedTokens;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.RequestError;
import io.shadowbatch.spark.InferenceTask.RawPrompts;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Computes in a process of its own, so that a crash of native code, a hang, or the kernel's end of
 * a process that takes too much memory costs the row that is to blame, and no other.
 *
 * <p>When the process ends, the requests under way are suspects. They are computed again by halves,
 * each group alone; what a group answers is kept, and a group that ends the process is halved
 * again. A request that ends it twice, alone, gets {@link ErrorCode#ENGINE_CRASH}. One such among n
 * suspects ends at most ceil(log2 n) + 2 processes, the first included: each crash but the last two
 * halves the group that it is in. A process that somebody kills once is blamed on nobody.
 *
 * <p>One task of a Java machine at a time computes like this; others wait. Used by one thread.
 */
final class GuardedSource implements CompletionSource, AutoCloseable {

  private static final Logger LOG = LoggerFactory.getLogger(GuardedSource.class);

  /** Requests under way at most: as many as a task has in an engine of its own executor. */
  static final int AHEAD = 256;

  /** Ends of a process that only a request's own computation explains. */
  static final int STRIKES = 2;

  /**
   * Processes that may end in a row without an answer between: one request to blame takes 10 of 256
   * suspects, eight neighbours about 25. Beyond, it is not the rows that are wrong.
   */
  static final int CRASHES_MAX = 32;

  /** Processes that may end in a row before their engine is open: no row has a part in that. */
  static final int STARTS_MAX = 3;

  private static final long WAIT_MILLIS = 100;

  /** So that a Java machine's guarded tasks take memory for keys and values once. */
  private static final Semaphore TURN = new Semaphore(1, true);

  private final Function<GuardedEngine.Start, GuardLine> starter;
  private final EngineChoice choice;
  private final GuardedEngine.Start start;
  private final Map<Long, Request> underWay = new LinkedHashMap<>();
  private final Deque<List<Request>> suspects = new ArrayDeque<>();
  private final Map<Long, Integer> strikes = new HashMap<>();
  private final Deque<Completion> ready = new ArrayDeque<>();
  private final Map<Integer, String> spelled = new HashMap<>();
  private BooleanSupplier cancelled;
  private boolean turn; // whether it is this task's
  private GuardLine process; // null if none is open
  private GuardMessage.Opened opened; // by the first process; the others say the same
  private List<Request> group = List.of(); // suspects under way; none in the normal flow
  private int crashes;
  private int processes;
  private EngineMetrics past = EngineMetrics.NONE; // of processes that have ended
  private long answeredTokens; // computed by the process for answers that came

  /**
   * A source that starts no process before it is asked for something.
   *
   * @param choice with the memory of an executor's engine; a process gets {@link KvOptions#beside}
   * @param cancelled whether its task has ended, until {@link #run} gives another
   */
  GuardedSource(
      CompletionSource.Opener opener,
      ModelCard model,
      EngineChoice choice,
      BooleanSupplier cancelled) {
    this(opener, model, choice, cancelled, EngineProcess::start);
  }

  /** The same with processes from elsewhere. */
  GuardedSource(
      CompletionSource.Opener opener,
      ModelCard model,
      EngineChoice choice,
      BooleanSupplier cancelled,
      Function<GuardedEngine.Start, GuardLine> starter) {
    this.starter = starter;
    this.choice = choice;
    this.start = new GuardedEngine.Start(opener, model, choice.with(choice.kv().beside(model)));
    this.cancelled = cancelled;
  }

  /** Takes requests under suspicion: an engine failed while they were under way. */
  void suspect(Collection<Request> requests) {
    halve(List.copyOf(requests));
  }

  /** Processes started so far. */
  int processes() {
    return processes;
  }

  @Override
  public int[] encode(String prompt) {
    return encode(prompt, RawPrompts.RENDERED);
  }

  @Override
  public int[] encodeRaw(String prompt) {
    return encode(prompt, RawPrompts.RAW);
  }

  private int[] encode(String prompt, RawPrompts prompts) {
    GuardMessage.Encode question = new GuardMessage.Encode(prompt, prompts);
    GuardMessage.Encoded answer = ask(question, GuardMessage.Encoded.class);
    if (answer.error() != null) throw new IllegalArgumentException(answer.error());
    return answer.tokens();
  }

  @Override
  public String token(int id) {
    String known = spelled.get(id);
    if (known != null) return known;
    String text = ask(new GuardMessage.Spell(id), GuardMessage.Spelled.class).text();
    spelled.put(id, text);
    return text;
  }

  @Override
  public int contextTokens() {
    return facts().contextTokens();
  }

  @Override
  public StepCosts costs() {
    return facts().costs();
  }

  @Override
  public KvChoice choice() {
    KvChoice found = facts().choice();
    // As on an executor: how a prompt is read must not depend on who computes it.
    return found == null ? null : found.with(choice.kv().deviceBytes());
  }

  private GuardMessage.Opened facts() {
    if (opened == null) open();
    return opened;
  }

  @Override
  public EngineMetrics metrics() {
    return process == null ? past : past.plus(process.metrics());
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier until) {
    cancelled = until;
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        feed(requests);
        return !ready.isEmpty() || !underWay.isEmpty() || !suspects.isEmpty();
      }

      @Override
      public Completion next() {
        while (true) {
          checkWanted();
          if (!hasNext()) throw new NoSuchElementException("no request is left");
          Completion answer = ready.poll();
          if (answer != null) return answer;
          if (!underWay.isEmpty()) receive();
        }
      }
    };
  }

  /** Sends what may be under way now: a group of suspects alone, else as many as there are. */
  private void feed(Iterator<Request> requests) {
    if (underWay.isEmpty()) group = List.of();
    if (!group.isEmpty()) return;
    boolean sent = false;
    if (suspects.isEmpty()) {
      while (suspects.isEmpty() && underWay.size() + ready.size() < AHEAD && requests.hasNext()) {
        Request next = requests.next();
        // Pulling it made tokens, which may have ended the process.
        if (suspects.isEmpty()) sent = send(next);
        else suspects.add(List.of(next));
      }
    } else if (underWay.isEmpty()) {
      open();
      group = suspects.pop();
      for (Request request : group) sent = send(request);
    }
    if (sent && process != null) process.send(new GuardMessage.Pause());
  }

  private boolean send(Request request) {
    open();
    underWay.put(request.id(), request);
    process.send(new GuardMessage.Compute(request));
    return true;
  }

  /** Asks the process; a question that ends it twice, alone, is the row's fault. */
  private <T extends GuardMessage> T ask(GuardMessage question, Class<T> answer) {
    int alone = 0;
    while (true) {
      open();
      boolean lonely = underWay.isEmpty();
      process.send(question);
      GuardMessage message = receive();
      while (!answer.isInstance(message) && !(message instanceof GuardMessage.Ended)) {
        message = receive();
      }
      if (answer.isInstance(message)) return answer.cast(message);
      if (lonely && ++alone == STRIKES) {
        String how = ((GuardMessage.Ended) message).how();
        throw new RowException(ErrorCode.ENGINE_CRASH, "tokenize", blame(how));
      }
    }
  }

  /** The next message, which this has taken to heart already. */
  private GuardMessage receive() {
    while (true) {
      checkWanted();
      try {
        GuardMessage message = process.receive(WAIT_MILLIS);
        if (message == null) continue;
        if (message instanceof GuardMessage.Answered answered) answered(answered.completion());
        if (message instanceof GuardMessage.Ended ended) lost(ended.how());
        return message;
      } catch (InterruptedException e) {
        close();
        Thread.currentThread().interrupt();
        throw new CancellationException("interrupted");
      }
    }
  }

  private void checkWanted() {
    if (!cancelled.getAsBoolean()) return;
    int left = underWay.size();
    close();
    throw new CancellationException("cancelled with " + left + " requests under way");
  }

  /** Opens a process unless one is open. */
  private void open() {
    for (int starts = 1; process == null; starts++) {
      takeTurn();
      process = starter.apply(start);
      processes++;
      GuardMessage message = receive();
      if (message instanceof GuardMessage.Opened first) {
        opened = first;
      } else if (message instanceof GuardMessage.Refused refused) {
        close();
        throw new JobException(refused.exit(), refused.message());
      } else if (message instanceof GuardMessage.Ended ended && starts == STARTS_MAX) {
        throw new JobException(
            Exit.UNEXPECTED,
            "the engine's process ended %d times before it was open: %s; see the executor's log"
                .formatted(starts, ended.how()));
      }
    }
  }

  private void takeTurn() {
    while (!turn) {
      checkWanted();
      try {
        turn = TURN.tryAcquire(WAIT_MILLIS, TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new CancellationException("interrupted");
      }
    }
  }

  private void answered(Completion completion) {
    Request request = underWay.remove(completion.id());
    if (request == null) {
      throw new IllegalStateException("completion " + completion.id() + " was not asked for");
    }
    crashes = 0;
    answeredTokens += computed(completion);
    ready.add(completion);
  }

  /** Tokens that went through the forward pass; the last of an answer never does. */
  private static long computed(Completion c) {
    return (long) c.promptTokens() - c.cachedTokens() + Math.max(0, c.tokenIds().length - 1);
  }

  /** The process has ended: what was under way is suspect. */
  private void lost(String how) {
    List<Request> left = List.copyOf(underWay.values());
    LOG.warn("the engine's process ended with {} requests under way: {}", left.size(), how);
    retire(new WastedTokens(0, unanswered()));
    if (opened != null && ++crashes == CRASHES_MAX) {
      throw new JobException(
          Exit.UNEXPECTED,
          ("the engine's process ended %d times without an answer in between, the last time: %s;"
                  + " expected at most a few rows to blame; see the executor's log")
              .formatted(crashes, how));
    }
    if (group.size() != 1 || left.isEmpty()) {
      halve(left);
      return;
    }
    Request alone = left.get(0);
    if (strikes.merge(alone.id(), 1, Integer::sum) < STRIKES) {
      suspects.push(List.of(alone));
      return;
    }
    strikes.remove(alone.id());
    RequestError error = new RequestError(ErrorCode.ENGINE_CRASH, blame(how), STRIKES);
    ready.add(Completion.failed(alone, error));
  }

  private static String blame(String how) {
    return "the engine's process ended %d times while it computed this row alone: %s"
        .formatted(STRIKES, how);
  }

  /** Tokens that the process computed, as far as is known, for answers that did not come. */
  private long unanswered() {
    return Math.max(0, process.metrics().computedTokens() - answeredTokens);
  }

  private void retire(WastedTokens wasted) {
    past = past.plus(process.metrics()).wasting(wasted);
    answeredTokens = 0;
    process.close();
    process = null;
    underWay.clear();
  }

  private void halve(List<Request> left) {
    int middle = (left.size() + 1) / 2;
    if (middle < left.size()) suspects.push(left.subList(middle, left.size()));
    if (middle > 0) suspects.push(left.subList(0, middle));
  }

  /** Ends the process; the next task of this Java machine may have one. */
  @Override
  public void close() {
    if (process != null) {
      retire(new WastedTokens(underWay.isEmpty() ? 0 : unanswered(), 0));
    }
    if (turn) TURN.release();
    turn = false;
  }
}
