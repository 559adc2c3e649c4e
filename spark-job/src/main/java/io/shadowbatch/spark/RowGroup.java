package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice.Asked;
import io.shadowbatch.plan.PlannedGroup;
import io.shadowbatch.spark.JobConfig.Dedup;
import java.util.function.ToIntFunction;

/**
 * Whom a row shares the beginning of its prompt with.
 *
 * @param name of the prefix, or null if the row shares none below the root
 * @param prefixBytes shared by all
 * @param requests that compute completions behind it, the row's own included
 */
record RowGroup(String name, long prefixBytes, int requests) {

  /** Of a row that shares nothing. */
  static final RowGroup ALONE = new RowGroup(null, 0, 1);

  /** A root is shared by all rows of a partition, of which a step computes some. */
  private static final int ROOT_REQUESTS = 64;

  /** Of a planned group; {@code samples} gives the completions that a member asks for. */
  static <T> RowGroup of(PlannedGroup<T> group, ToIntFunction<T> samples, Sharing sharing) {
    if (group.name() == null) {
      if (sharing.rootBytes() == 0) return ALONE;
      return new RowGroup(null, sharing.rootBytes(), ROOT_REQUESTS);
    }
    int requests = 0;
    for (PlannedGroup.Member<T> member : group.members()) {
      boolean copied = sharing.dedup() == Dedup.AUTO && member.duplicateOf() >= 0;
      if (!copied) requests += samples.applyAsInt(member.prompt().payload());
    }
    return new RowGroup(group.name(), group.prefixBytes(), requests);
  }

  /**
   * A request of one of the rows. The share of its prompt is taken to be the same in tokens as in
   * bytes, so that it depends on the prompt and the group only.
   *
   * @param promptBytes of the whole prompt
   * @param samples completions that the row asks for
   * @param promptTokens of the prompt as it is computed
   * @param newTokens expected answer
   */
  Asked asked(long promptBytes, int samples, int promptTokens, int newTokens) {
    if (requests <= samples) {
      return new Asked(promptTokens, samples > 1 ? promptTokens : 0, samples, newTokens);
    }
    double share = Math.min(1, (double) prefixBytes / Math.max(1, promptBytes));
    return new Asked(promptTokens, (int) Math.round(share * promptTokens), requests, newTokens);
  }
}
