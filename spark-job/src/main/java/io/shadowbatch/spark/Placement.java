package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.udf;

import io.shadowbatch.plan.PartitionCuts;
import java.util.Arrays;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.hash.Murmur3_x86_32;

/**
 * Sends rows to the partitions that cuts say. Spark 3.5 has no public way to name a partition: it
 * takes a value's hash. So each partition gets a value whose hash leads to it. The cuts travel with
 * the task, which Spark broadcasts.
 *
 * @param values by partition
 */
record Placement(PartitionCuts cuts, int[] values) implements UDF2<byte[], String, Integer> {

  private static final long serialVersionUID = 1L;

  /** Of Spark's hash partitioning. */
  private static final int SEED = 42;

  static Dataset<Row> apply(Dataset<Row> prepared, PartitionCuts cuts) {
    Placement placement = new Placement(cuts, values(cuts.partitions()));
    return prepared.repartition(
        cuts.partitions(),
        udf(placement, DataTypes.IntegerType)
            .withName("partition_value")
            .apply(col(PreparedRows.SIGNATURE), col(PreparedRows.REQUEST_KEY)));
  }

  @Override
  public Integer call(byte[] signature, String key) {
    return values[cuts.partition(signature, key)];
  }

  /** For each of so many partitions the least number that Spark places there. */
  static int[] values(int partitions) {
    int[] values = new int[partitions];
    Arrays.fill(values, -1);
    int missing = partitions;
    for (int value = 0; missing > 0; value++) {
      int partition = Math.floorMod(Murmur3_x86_32.hashInt(value, SEED), partitions);
      if (values[partition] >= 0) continue;
      values[partition] = value;
      missing--;
    }
    return values;
  }
}
