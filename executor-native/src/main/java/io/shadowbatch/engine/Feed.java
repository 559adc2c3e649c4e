package io.shadowbatch.engine;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * One caller's stream of requests into an engine and of completions out of it. The caller's thread
 * pulls and submits; the engine's thread answers.
 */
final class Feed implements Iterator<Completion> {
  /** Requests that one caller has in the engine: enough to fill steps while it works on answers. */
  private static final int AHEAD = 256;

  private static final long WAIT_MILLIS = 100;

  private final Engine engine;
  private final int number;
  private final Iterator<Request> requests;
  private final BooleanSupplier cancelled;
  private final LinkedBlockingQueue<Completion> answers = new LinkedBlockingQueue<>();
  private int outstanding;
  private volatile boolean gone;

  Feed(Engine engine, int number, Iterator<Request> requests, BooleanSupplier cancelled) {
    this.engine = engine;
    this.number = number;
    this.requests = requests;
    this.cancelled = cancelled;
  }

  /** How many came before it. */
  int number() {
    return number;
  }

  /** True once the caller wants no more answers. */
  boolean gone() {
    return gone;
  }

  /** Called by the engine's thread. */
  void answer(Completion completion) {
    answers.add(completion);
  }

  @Override
  public boolean hasNext() {
    submit();
    return outstanding > 0;
  }

  private void submit() {
    while (outstanding < AHEAD && requests.hasNext()) {
      engine.submit(this, requests.next());
      outstanding++;
    }
  }

  @Override
  public Completion next() {
    if (!hasNext()) throw new NoSuchElementException("no request is left");
    while (true) {
      if (cancelled.getAsBoolean()) {
        gone = true;
        throw new CancellationException("cancelled with " + outstanding + " requests under way");
      }
      try {
        Completion answer = answers.poll(WAIT_MILLIS, TimeUnit.MILLISECONDS);
        if (answer != null) {
          outstanding--;
          return answer;
        }
        engine.checkAlive();
      } catch (InterruptedException e) {
        gone = true;
        Thread.currentThread().interrupt();
        throw new CancellationException("interrupted");
      } catch (IllegalStateException e) {
        gone = true;
        throw e;
      }
    }
  }
}
