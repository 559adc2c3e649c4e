package io.shadowbatch.cli;

import io.shadowbatch.spark.ShadowBatchJob;
import java.util.concurrent.atomic.AtomicInteger;
import sun.misc.Signal;

/** What a run does when its process is told to end. */
final class Stops {
  /** Of a shell, for a process that a signal ended. */
  private static final int BY_SIGNAL = 128;

  private Stops() {}

  /**
   * The first signal stops the job, which then can be gone on with; the second ends the process.
   */
  static void onSignals(ShadowBatchJob job) {
    AtomicInteger seen = new AtomicInteger();
    for (String name : new String[] {"TERM", "INT"}) {
      Signal.handle(
          new Signal(name),
          signal -> {
            if (seen.getAndIncrement() > 0) {
              Runtime.getRuntime().halt(BY_SIGNAL + signal.getNumber());
            }
            Thread stop = new Thread(() -> job.stop("signal " + name), "shadowbatch-signal");
            stop.start();
          });
    }
  }
}
