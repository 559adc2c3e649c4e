package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.plan.PartitionCuts;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.Planner;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Places prompts that begin alike next to each other: one shuffle into ranges of signatures that
 * cost about the same, and a sort within partitions; a single partition needs no shuffle. The
 * number of partitions is always given, so that Spark does not change it.
 */
final class PrefixOrdering {

  /** Rows below which another partition is not worth its tail. */
  private static final long PARTITION_ROWS_MIN = 128;

  private static final long PARTITION_ROWS = 1024;

  /** Rows of the largest partition: what a lost executor may cost. */
  private static final long PARTITION_ROWS_MAX = 8192;

  /** More partitions for a slot balance no better, and each costs its blocks in the shuffle. */
  private static final long SLOT_PARTITIONS_MAX = 256;

  private static final int SLOT_PARTITIONS = 4;
  private static final int PARTITIONS_MAX = 100_000;

  private PrefixOrdering() {}

  /** The rows in their places. Several partitions take a pass over the rows at once, or two. */
  static Dataset<Row> apply(
      Dataset<Row> prepared, Sharing sharing, Planner planner, int partitions) {
    return apply(prepared, SampleSource.whole(prepared), sharing, planner, partitions);
  }

  /** The same where rows may be sampled before they are prepared. */
  static Dataset<Row> apply(
      Dataset<Row> prepared,
      SampleSource source,
      Sharing sharing,
      Planner planner,
      int partitions) {
    if (sharing.prefixes() == PrefixPlan.OFF) {
      Dataset<Row> placed =
          partitions == 1
              ? prepared.coalesce(1)
              : prepared.repartition(partitions, col(PreparedRows.REQUEST_KEY));
      // Equal requests meet by their key alone; sorted, they stand next to each other as well.
      return sharing.dedup() == Dedup.OFF
          ? placed
          : placed.sortWithinPartitions(col(PreparedRows.REQUEST_KEY));
    }
    Dataset<Row> placed =
        partitions == 1
            ? prepared.coalesce(1)
            : Placement.apply(prepared, cuts(prepared, source, sharing, planner, partitions));
    return placed.sortWithinPartitions(PlanColumns.ORDER);
  }

  private static PartitionCuts cuts(
      Dataset<Row> prepared,
      SampleSource source,
      Sharing sharing,
      Planner planner,
      int partitions) {
    return switch (planner) {
      case RANGE -> RangeCuts.of(source, sharing, partitions);
      case GLOBAL -> GlobalCuts.of(prepared, sharing, partitions);
    };
  }

  /**
   * Partitions for a job whose user named none: {@value #PARTITION_ROWS} rows each, or up to
   * {@value #PARTITION_ROWS_MAX} where a slot has {@value #SLOT_PARTITIONS_MAX} already, but at
   * least {@value #SLOT_PARTITIONS} for each slot if they have {@value #PARTITION_ROWS_MIN} rows,
   * and one for each slot. Where all slots share one engine, a single task fills it as well as
   * several: the least is then one.
   */
  static int partitions(long rows, int slots, int engines) {
    long most = Math.max(SLOT_PARTITIONS_MAX * slots, rows / PARTITION_ROWS_MAX);
    long wanted = Math.max((long) SLOT_PARTITIONS * slots, Math.min(rows / PARTITION_ROWS, most));
    long least = engines == 1 ? 1 : slots;
    long worthwhile = Math.max(least, rows / PARTITION_ROWS_MIN);
    return (int) Math.max(1, Math.min(Math.min(wanted, worthwhile), PARTITIONS_MAX));
  }
}
