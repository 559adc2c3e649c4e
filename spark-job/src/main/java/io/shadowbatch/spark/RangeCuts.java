package io.shadowbatch.spark;

import io.shadowbatch.plan.PartitionCuts;
import io.shadowbatch.plan.RowSample;
import io.shadowbatch.plan.RowSample.Sampled;
import io.shadowbatch.plan.SampledCuts;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Cuts from one pass over the rows, which samples those of each partition of the input. */
final class RangeCuts {

  /** Sampled requests for each partition to cut: its cost is known to about 6 %, as with Spark. */
  private static final int SAMPLES = 300;

  /** Of all, which the driver holds; but each partition to cut needs some. */
  private static final int SAMPLES_MAX = 400_000;

  private static final int SAMPLES_MIN = 10;

  /** A smaller sample of a partition of the input says too little of what it stands for. */
  private static final int PART_SAMPLES_MIN = 4;

  private RangeCuts() {}

  /** Rows are chosen before they are prepared: of some more requests than are wanted. */
  private static final double MORE = 1.2;

  static PartitionCuts of(SampleSource source, Sharing sharing, int partitions) {
    int root = sharing.rootBytes();
    long wanted = Math.min(SAMPLES_MAX, (long) SAMPLES * partitions);
    long all = Math.max(wanted, (long) SAMPLES_MIN * partitions);
    double share = source.rows() <= 0 ? 1 : Math.min(1, MORE * all / source.rows());
    Dataset<Row> prepared = source.share().apply(share);
    MapPartitionsFunction<Row, Row> task =
        rows -> {
          long part = all / TaskContext.get().numPartitions() + 1;
          RowSample sample = new RowSample((int) Math.max(PART_SAMPLES_MIN, part));
          while (rows.hasNext()) {
            Row row = rows.next();
            sample.add(row.getString(1), () -> PlanColumns.read(row, root));
          }
          return sample.rows().stream()
              .map(s -> PlanColumns.row(s.row(), s.count(), s.share()))
              .iterator();
        };
    StructType schema =
        PlanColumns.schema()
            .add("count", DataTypes.LongType, false)
            .add("share", DataTypes.DoubleType, false);
    List<Sampled> samples =
        PlanColumns.of(prepared).mapPartitions(task, Encoders.row(schema)).collectAsList().stream()
            .map(r -> new Sampled(PlanColumns.planRow(r), r.getLong(5), share * r.getDouble(6)))
            .toList();
    return SampledCuts.of(samples, sharing.cost(), partitions);
  }
}
