package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** Rows chosen for a sample before anything is rendered. */
class SampleSourceTest {
  private static final int REQUESTS = 4000;

  /** Each request twice, under different ids, with parameters of every form. */
  private static Dataset<Row> table(int partitions) {
    String p = PromptTable.PREFIX;
    return LocalSpark.spark()
        .sql(
            "select id as kept, cast(id as string) as %s,".formatted(PromptReader.ID)
                + " cast(concat('prompt ', id %% %d) as binary)".formatted(REQUESTS)
                + " as %sprompt, named_struct('n', 1) as %sstruct, map('n', id) as %smap"
                    .formatted(p, p, p)
                + " from range(%d)".formatted(2 * REQUESTS))
        .repartition(partitions);
  }

  private static Map<String, Integer> times(double share, int partitions) {
    Map<String, Integer> times = new HashMap<>();
    for (Row row : SampleSource.rows(table(partitions), share).collectAsList()) {
      times.merge(new String((byte[]) row.get(2)), 1, Integer::sum);
    }
    return times;
  }

  @Test
  void equalRequestsAreInItTogetherWhateverTheirIds() {
    Map<String, Integer> times = times(0.25, 3);
    assertThat(times.values()).containsOnly(2);
    assertThat(times.size()).isBetween(REQUESTS / 5, REQUESTS * 3 / 10);
  }

  @Test
  void theChoiceDependsOnRowsOnly() {
    Set<String> one = new HashSet<>(times(0.1, 1).keySet());
    assertThat(times(0.1, 7).keySet()).isEqualTo(one);
    assertThat(times(0.2, 2).keySet()).as("more of the same").containsAll(one);
    assertThat(times(1, 2)).hasSize(REQUESTS);
    assertThat(times(0, 2)).isEmpty();
  }
}
