package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class PlacementTest {

  /** Goal: Spark's hash still sends each value to the partition that it stands for. */
  @Test
  void sparkPlacesValuesWhereTheyBelong() {
    for (int partitions : new int[] {1, 2, 3, 7, 64, 1000}) {
      List<Integer> values = Arrays.stream(Placement.values(partitions)).boxed().toList();
      assertThat(values).hasSize(partitions).doesNotHaveDuplicates();
      List<Row> placed =
          LocalSpark.spark()
              .createDataset(values, Encoders.INT())
              .repartition(partitions, col("value"))
              .selectExpr("spark_partition_id()", "value")
              .collectAsList();
      assertThat(placed).hasSize(partitions);
      for (Row row : placed) assertThat(values.get(row.getInt(0))).isEqualTo(row.getInt(1));
    }
  }

  /** Goal: the values of as many partitions as there may be are found in no time. */
  @Test
  void manyPartitionsHaveValues() {
    assertThat(Arrays.stream(Placement.values(100_000)).distinct()).hasSize(100_000);
  }
}
