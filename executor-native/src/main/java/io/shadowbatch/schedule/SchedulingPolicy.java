package io.shadowbatch.schedule;

import java.util.List;

/**
 * Decides who runs next; the {@link Scheduler} keeps the books. A pure function of its argument.
 */
public interface SchedulingPolicy {
  /**
   * The state that a decision may depend on.
   *
   * @param waiting in order of arrival, those that lost their memory first
   * @param running in order of admission
   * @param freePages pages that can be had without taking them from a running sequence
   */
  record SchedulerView(List<Sequence> waiting, List<Sequence> running, int freePages) {}

  /** Index of the waiting sequence to admit next; {@code waiting} is not empty. */
  int next(SchedulerView view);
}
