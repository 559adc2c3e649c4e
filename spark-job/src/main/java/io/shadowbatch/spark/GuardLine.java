package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMetrics;

/** The two ends of a process that computes for a task. Used by one thread. */
interface GuardLine extends AutoCloseable {

  /** Sends; to a process that has ended nothing arrives, as the next messages tell. */
  void send(GuardMessage message);

  /** The next message, null if none comes so soon; the last is {@link GuardMessage.Ended}. */
  GuardMessage receive(long millis) throws InterruptedException;

  /** What its engine had done by its last sign of life. */
  EngineMetrics metrics();

  /** Ends the process, if it has not ended, and deletes what it left. */
  @Override
  void close();
}
