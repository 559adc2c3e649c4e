package io.shadowbatch.spark;

import io.shadowbatch.plan.PinnedRoot;
import io.shadowbatch.plan.RowCost;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import java.io.Serializable;

/**
 * What the rows of a job share, so that it is computed once.
 *
 * @param rootBytes length of the prefix of all prompts that signatures leave out; 0 if none is
 */
record Sharing(PrefixPlan prefixes, Dedup dedup, int rootBytes) implements Serializable {

  private static final long serialVersionUID = 1L;

  PinnedRoot root() {
    return PinnedRoot.before(rootBytes);
  }

  /** What rows cost in this job. */
  RowCost cost() {
    return RowCost.USUAL.withRepeated(dedup == Dedup.AUTO ? 0 : 1);
  }

  Sharing below(int newRootBytes) {
    return new Sharing(prefixes, dedup, newRootBytes);
  }

  /**
   * Length of a prompt as the planner may see it: at least the root's. A row that came into the
   * input after it was scanned may be shorter; it is only sorted to strangers then.
   */
  long plannedBytes(byte[] prompt) {
    return Math.max(rootBytes, prompt.length);
  }
}
