package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import java.util.Iterator;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/**
 * A source that counts what it is asked.
 *
 * @param left requests that are let through before the task fails
 */
record CountedSource(CompletionSource source, AtomicInteger asked, AtomicInteger left)
    implements CompletionSource {
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
    return source.metrics();
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    Iterator<Request> counted =
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return requests.hasNext();
          }

          @Override
          public Request next() {
            if (left.getAndDecrement() <= 0) throw new ArithmeticException("none is let through");
            asked.incrementAndGet();
            return requests.next();
          }
        };
    return source.run(counted, cancelled);
  }
}
