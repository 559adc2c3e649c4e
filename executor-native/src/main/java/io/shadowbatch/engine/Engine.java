package io.shadowbatch.engine;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.DeviceLostException;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.model.PackOptions;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.RequestError;
import io.shadowbatch.schedule.OldestFeedPolicy;
import io.shadowbatch.schedule.Scheduler;
import io.shadowbatch.schedule.Sequence;
import io.shadowbatch.tokens.Tokenizer;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * Computes completions: one for each executor process, fed by several tasks at once. A thread of
 * its own plans and computes steps; callers submit requests and collect answers.
 */
public final class Engine implements AutoCloseable {
  private static final long IDLE_MILLIS = 50;
  private static final long CLOSE_MILLIS = 60_000;

  private record Submission(Feed feed, Request request) {}

  private final Model model;
  private final Kernels kernels;
  private final Tokenizer tokenizer;
  private final Scheduler scheduler;
  private final Stepper stepper;
  private final int contextTokens;
  private final Set<Integer> endTokens;
  private final ConcurrentLinkedQueue<Submission> inbox = new ConcurrentLinkedQueue<>();
  private final Semaphore work = new Semaphore(0);
  private final Map<Integer, Answer> answers = new HashMap<>();
  private final Set<Feed> feeds = new HashSet<>();
  private final AtomicInteger nextFeed = new AtomicInteger();
  private final Consumer<Scheduler> beforeStep;
  private final Thread thread = new Thread(this::loop, "shadowbatch-engine");
  private volatile boolean closed;
  private volatile Throwable failure;
  private final Duration stall = EngineStalledException.bound();
  private volatile long turned = System.nanoTime(); // when its thread last began a turn
  private volatile WastedTokens wasted = WastedTokens.NONE;
  private final ShadowSpec shadow; // null where all is read exactly
  private final Canary canary = new Canary();
  private int nextSequence;

  private Engine(
      EngineConfig config, Kernels kernels, Model model, Consumer<Scheduler> beforeStep) {
    this.beforeStep = beforeStep;
    this.kernels = kernels;
    this.model = model;
    this.shadow = config.shadow();
    ModelSpec spec = model.spec();
    this.tokenizer = ModelText.tokenizer(model.header());
    int asked = config.contextTokens() == 0 ? spec.contextLength() : config.contextTokens();
    this.contextTokens = Math.min(asked, spec.contextLength());
    this.stepper = Stepper.of(config, kernels, model, contextTokens);
    this.scheduler =
        new Scheduler(
            stepper.store(),
            new OldestFeedPolicy(),
            stepper.batchTokens(),
            config.prefixReuse(),
            config.sequencesMax());
    this.endTokens = Set.copyOf(spec.text().eosIds());
    thread.setDaemon(true);
  }

  /**
   * Opens the model, which packs its weights unless an engine of this host did before.
   *
   * @throws io.shadowbatch.weights.ModelFileException if the model cannot be used
   */
  public static Engine open(EngineConfig config) throws IOException {
    return open(config, Backend.open(config.backend(), config.threads()), scheduler -> {});
  }

  /** The same on kernels that it closes, with what its thread does before each step. */
  static Engine open(EngineConfig config, Kernels kernels, Consumer<Scheduler> beforeStep)
      throws IOException {
    try {
      PackOptions pack = PackOptions.standard().threads(config.threads());
      if (config.packFolder() != null) pack = pack.in(config.packFolder());
      Model model = Model.open(config.model(), kernels, pack);
      Engine engine = new Engine(config, kernels, model, beforeStep);
      engine.thread.start();
      return engine;
    } catch (IOException | RuntimeException | Error e) {
      kernels.close();
      throw e;
    }
  }

  /** The model's description. */
  public ModelSpec spec() {
    return model.spec();
  }

  /** The model's tokenizer; may be used by any thread. */
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** Most tokens of a prompt and its completion together. */
  public int contextTokens() {
    return Math.min(contextTokens, scheduler.tokensMax());
  }

  /** Backend, instruction set and threads, for a log line. */
  public String describe() {
    return kernels.describe() + ", steps of up to " + stepper.batchTokens() + " tokens";
  }

  /**
   * Computes one completion for each request, in the order in which they finish. Pulls requests
   * lazily, some hundred ahead. May be called by several threads at once. The iterator throws
   * {@link java.util.concurrent.CancellationException} once {@code cancelled} says so, and {@link
   * IllegalStateException} if the engine fails, or finishes no step for ten minutes or what the
   * system property shadowbatch.engine.stallSeconds says.
   */
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    return new Feed(this, nextFeed.getAndIncrement(), requests, cancelled);
  }

  /** False once it failed or was closed: it takes no more requests. */
  public boolean alive() {
    return failure == null && !closed;
  }

  /** True once it failed because its device is lost: then no engine of this process can use it. */
  public boolean deviceLost() {
    return isDeviceLost(failure);
  }

  /** True of what an engine, or its opening, throws once the device is lost to this process. */
  public static boolean isDeviceLost(Throwable failure) {
    return failure instanceof DeviceLostException;
  }

  /** True of the cause of what callers get once the engine's thread is stuck, with its memory. */
  public static boolean isStalled(Throwable failure) {
    return failure instanceof EngineStalledException;
  }

  /** How long a step may take before its engine counts as stuck. */
  public static Duration stallBound() {
    return EngineStalledException.bound();
  }

  void submit(Feed feed, Request request) {
    checkAlive();
    inbox.add(new Submission(feed, request));
    work.release();
  }

  void checkAlive() {
    // An idle thread turns several times a second.
    if (failure == null && System.nanoTime() - turned > stall.toNanos()) {
      failure = new EngineStalledException(stall);
    }
    if (failure != null) throw new IllegalStateException("the engine failed: " + failure, failure);
    if (closed) throw new IllegalStateException("the engine is closed");
  }

  private void loop() {
    try {
      while (!closed) {
        turned = System.nanoTime();
        if (scheduler.active() == 0 && inbox.isEmpty()) {
          work.tryAcquire(IDLE_MILLIS, TimeUnit.MILLISECONDS);
          continue;
        }
        work.drainPermits();
        receive();
        forgetGone();
        if (scheduler.active() > 0) step();
      }
    } catch (InterruptedException e) {
      closed = true;
    } catch (Throwable t) {
      // Whatever it is, callers must hear of it: they wait for answers.
      long lost = 0;
      for (Answer a : answers.values()) lost += spent(a.sequence());
      wasted = wasted.plus(new WastedTokens(0, lost));
      failure = t;
    }
  }

  /** A step; who does not fit any more, because memory turned out to be short, hears of it. */
  private void step() {
    beforeStep.accept(scheduler);
    stepper.step(scheduler, answers, this::finish);
    for (Sequence s : scheduler.unfit()) finish(answers.get(s.id()), tooLong(s.promptLength()));
  }

  private void receive() {
    for (Submission s = inbox.poll(); s != null; s = inbox.poll()) {
      Request request = s.request;
      RequestError error = refusal(request);
      if (error != null) {
        s.feed.answer(Completion.failed(request, error));
        continue;
      }
      int room = contextTokens() - request.tokens().length;
      if (request.params().maxTokens() > room) {
        int least = Math.min(request.params().minTokens(), room);
        request = request.with(request.params().withLengths(least, room));
      }
      request = request.with(mode(request));
      begin(request, s.feed, request.kvMode() == KvMode.SHADOW ? canary.arrived() : null);
    }
  }

  private void begin(Request request, Feed feed, CanaryRow watch) {
    Sequence sequence = new Sequence(nextSequence++, request, feed.number());
    answers.put(sequence.id(), new Answer(sequence, feed, tokenizer, endTokens, watch));
    feeds.add(feed);
    scheduler.add(sequence);
  }

  /**
   * How a request is read: exactly, where nothing else is asked for or would leave anything out.
   */
  private KvMode mode(Request request) {
    boolean asked = request.kvMode() == KvMode.SHADOW && shadow != null && !canary.exceeded();
    return asked && shadow.leavesOut(request.tokens().length) ? KvMode.SHADOW : KvMode.DENSE;
  }

  private RequestError refusal(Request request) {
    int[] tokens = request.tokens();
    if (tokens.length == 0) {
      return new RequestError(ErrorCode.EMPTY_PROMPT, "the prompt has no tokens");
    }
    if (tokens.length >= contextTokens) {
      return new RequestError(
          ErrorCode.PROMPT_TOO_LONG,
          "prompt of %d tokens, at most %d leave room for an answer"
              .formatted(tokens.length, contextTokens - 1));
    }
    if (tokens.length >= scheduler.tokensMax()) {
      return tooLong(tokens.length);
    }
    for (int token : tokens) {
      if (token < 0 || token >= model.spec().vocabulary()) {
        return new RequestError(
            ErrorCode.BAD_INPUT,
            "token id %d, the vocabulary has %d".formatted(token, model.spec().vocabulary()));
      }
    }
    return null;
  }

  private RequestError tooLong(int promptTokens) {
    return new RequestError(
        ErrorCode.OUT_OF_MEMORY,
        "prompt of %d tokens, key and value memory holds %d with the answer; give the engine more"
            .formatted(promptTokens, scheduler.tokensMax()));
  }

  /** Drops the sequences of callers that went away. */
  private void forgetGone() {
    if (feeds.stream().noneMatch(Feed::gone)) return;
    for (Answer a : List.copyOf(answers.values())) {
      if (a.feed().gone()) {
        wasted = wasted.plus(new WastedTokens(spent(a.sequence()), 0));
        scheduler.remove(a.sequence());
        answers.remove(a.sequence().id());
        if (a.watch() != null) canary.ended(a.watch());
      }
    }
    feeds.removeIf(Feed::gone);
  }

  /** Tokens that were computed for a sequence alone, less those that lost their memory. */
  private static long spent(Sequence s) {
    return Math.max(0, s.computed() - s.cachedTokens());
  }

  private void finish(Answer answer, RequestError error) {
    Sequence s = answer.sequence();
    Completion completion =
        error == null ? answer.completion() : Completion.failed(s.request(), error);
    if (error == null) scheduler.finish(s);
    else scheduler.remove(s);
    answers.remove(s.id());
    CanaryRow watch = answer.watch();
    if (watch == null) {
      answer.feed().answer(completion);
    } else if (answer.twin()) {
      canary.ended(watch);
      answer.feed().answer(watch.held());
    } else if (completion.error() == null && watch.comparable() && roomFor(s.request(), watch)) {
      watch.hold(completion);
      begin(Canary.twin(s.request(), watch), answer.feed(), watch);
    } else {
      canary.ended(watch);
      answer.feed().answer(completion);
    }
  }

  /** Memory may have turned out to be short since the request came. */
  private boolean roomFor(Request request, CanaryRow watch) {
    return request.tokens().length + watch.tokens() <= scheduler.tokensMax();
  }

  /** What was done so far; counters may lag a step behind. */
  public EngineMetrics metrics() {
    return stepper.metrics(scheduler.metrics(), canary.metrics(), wasted);
  }

  @Override
  public void close() {
    closed = true;
    work.release();
    try {
      thread.join(CLOSE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (thread.isAlive()) return; // its memory is still in use: the process's end frees it
    stepper.close();
    model.close();
    kernels.close();
  }
}
