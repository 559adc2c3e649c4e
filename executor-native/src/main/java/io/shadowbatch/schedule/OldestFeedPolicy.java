package io.shadowbatch.schedule;

import java.util.List;

/**
 * The oldest feed first, each in order of arrival: with prompts sorted by prefix, that is the order
 * of the prefix tree. Feeds end one after another then, and the tail of each is filled by the next:
 * served in turns, all of them would end, and leave steps empty, at once.
 */
public final class OldestFeedPolicy implements SchedulingPolicy {
  @Override
  public int next(SchedulerView view) {
    List<Sequence> waiting = view.waiting();
    int oldest = 0;
    for (int i = 1; i < waiting.size(); i++) {
      if (waiting.get(i).feed() < waiting.get(oldest).feed()) oldest = i;
    }
    return oldest;
  }
}
