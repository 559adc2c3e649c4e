package io.shadowbatch.schedule;

/** In order of arrival: with prompts sorted by prefix, this is the order of the prefix tree. */
public final class FifoPolicy implements SchedulingPolicy {
  @Override
  public int next(SchedulerView view) {
    return 0;
  }
}
