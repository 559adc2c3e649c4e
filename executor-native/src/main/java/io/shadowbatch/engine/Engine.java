package io.shadowbatch.engine;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import java.util.Iterator;
import java.util.function.BooleanSupplier;

/** Computes completions; one for each executor process, fed by several tasks at once. */
public final class Engine implements AutoCloseable {

  /** Opens the model, which packs its weights if no engine of this host did before. */
  public static Engine open(EngineConfig config) {
    throw new UnsupportedOperationException("not merged: " + config);
  }

  /**
   * Computes one completion for each request, in the order in which they finish. Pulls requests
   * lazily, some hundred ahead. May be called by several threads at once. The iterator throws
   * {@link java.util.concurrent.CancellationException} once {@code cancelled} says so.
   */
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    throw new UnsupportedOperationException("not merged");
  }

  @Override
  public void close() {}
}
