package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class PrefixOrderingTest {

  private static final Sharing SORTED = new Sharing(PrefixPlan.ON, Dedup.OFF, 0);
  private static final Sharing PLAIN = new Sharing(PrefixPlan.OFF, Dedup.OFF, 0);

  /** Goal: few rows are not spread over tasks that feed the same engine. */
  @Test
  void fewRowsAreOneTaskForOneEngine() {
    assertThat(PrefixOrdering.partitions(0, 2, 1)).isEqualTo(1);
    assertThat(PrefixOrdering.partitions(128, 2, 1)).isEqualTo(1);
    assertThat(PrefixOrdering.partitions(255, 8, 1)).isEqualTo(1);
    assertThat(PrefixOrdering.partitions(256, 2, 1)).isEqualTo(2);
  }

  /** Goal: no executor is left without a task, and many rows get many tasks. */
  @Test
  void eachSlotOfSeveralEnginesGetsATask() {
    assertThat(PrefixOrdering.partitions(10, 8, 2)).isEqualTo(8);
    assertThat(PrefixOrdering.partitions(10_000, 8, 2)).isEqualTo(32);
    assertThat(PrefixOrdering.partitions(100_000, 8, 2)).isEqualTo(97);
    assertThat(PrefixOrdering.partitions(Long.MAX_VALUE, 8, 2)).isEqualTo(100_000);
  }

  /** Goal: one partition is sorted like several, without a shuffle. */
  @Test
  void onePartitionNeedsNoShuffle() {
    Dataset<Row> prepared =
        LocalSpark.spark()
            .sql(
                "select cast(sha(cast(id as string)) as binary) as %s, cast(id as string) as %s"
                        .formatted(PreparedRows.SIGNATURE, PreparedRows.REQUEST_KEY)
                    + " from range(0, 200, 1, 3)");
    Dataset<Row> one = PrefixOrdering.apply(prepared, SORTED, 1);
    Dataset<Row> several = PrefixOrdering.apply(prepared, SORTED, 4);
    assertThat(one.queryExecution().executedPlan().toString()).doesNotContain("Exchange");
    assertThat(several.queryExecution().executedPlan().toString()).contains("Exchange");
    assertThat(one.rdd().getNumPartitions()).isEqualTo(1);
    assertThat(several.rdd().getNumPartitions()).isEqualTo(4);
    assertThat(keys(one)).hasSize(200).isEqualTo(keys(several));
    Dataset<Row> unordered = PrefixOrdering.apply(prepared, PLAIN, 1);
    assertThat(keys(unordered)).hasSameElementsAs(keys(one));
  }

  private static List<String> keys(Dataset<Row> rows) {
    List<String> keys = new ArrayList<>();
    for (Row row : rows.collectAsList()) keys.add(row.getString(1));
    return keys;
  }
}
