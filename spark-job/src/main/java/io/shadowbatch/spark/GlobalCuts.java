package io.shadowbatch.spark;

import io.shadowbatch.plan.CutPlace;
import io.shadowbatch.plan.CutSearch;
import io.shadowbatch.plan.PartitionCuts;
import io.shadowbatch.plan.PlanRow;
import io.shadowbatch.plan.RowCost;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;

/**
 * Cuts from all rows: sorted by Spark without their prompts, each is weighed beside its real
 * neighbour. Only ends of partitions and places of cuts come to the driver. The result does not
 * depend on how input or sort are partitioned.
 */
final class GlobalCuts {

  /** Parts of the sorted rows: enough for any number of them, and few ends to send to each task. */
  private static final int PARTS_MAX = 1024;

  private static final StructType PLACES =
      new StructType()
          .add("before", DataTypes.LongType, false)
          .add("shared", DataTypes.LongType, false)
          .add("signature", DataTypes.BinaryType, false)
          .add("key", DataTypes.StringType, false);

  private GlobalCuts() {}

  /**
   * Where a part of the sorted rows begins.
   *
   * @param part its index
   * @param last row before it; null for none
   * @param before cost of all rows before it
   */
  private record Start(int part, PlanRow last, long before) implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  static PartitionCuts of(Dataset<Row> prepared, Sharing sharing, int partitions) {
    RowCost cost = sharing.cost();
    int parts = Math.min(partitions, PARTS_MAX);
    Dataset<Row> light = light(prepared, sharing.rootBytes());
    Dataset<Row> sorted =
        light
            .repartitionByRange(parts, PlanColumns.ORDER)
            .sortWithinPartitions(PlanColumns.ORDER)
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      List<Row> ends =
          new ArrayList<>(
              sorted
                  .mapPartitions(
                      (MapPartitionsFunction<Row, Row>) rows -> ends(rows, cost),
                      Encoders.row(endsSchema()))
                  .collectAsList());
      light.unpersist();
      List<Start> starts = new ArrayList<>();
      long total = starts(ends, cost, starts);
      CutSearch search = new CutSearch(total, partitions);
      for (Row row : places(sorted, starts, cost, total, partitions).collectAsList()) {
        search.add(new CutPlace(row.getLong(0), row.getLong(1), row.getAs(2), row.getString(3)));
      }
      return PartitionCuts.of(search.chosen(), total, partitions);
    } finally {
      light.unpersist();
      sorted.unpersist();
    }
  }

  /** Kept, because Spark reads what it sorts by range twice. */
  private static Dataset<Row> light(Dataset<Row> prepared, int root) {
    MapPartitionsFunction<Row, Row> task =
        rows ->
            new Iterator<>() {
              @Override
              public boolean hasNext() {
                return rows.hasNext();
              }

              @Override
              public Row next() {
                return PlanColumns.row(PlanColumns.read(rows.next(), root));
              }
            };
    return PlanColumns.of(prepared)
        .mapPartitions(task, Encoders.row(PlanColumns.schema()))
        .persist(StorageLevel.MEMORY_AND_DISK());
  }

  private static StructType endsSchema() {
    return PlanColumns.schema()
        .add("part", DataTypes.IntegerType, false)
        .add("rest", DataTypes.LongType, false);
  }

  /** First and last row of a part, each with the part's index and the cost of all but the first. */
  private static Iterator<Row> ends(Iterator<Row> rows, RowCost cost) {
    if (!rows.hasNext()) return Collections.emptyIterator();
    int part = TaskContext.getPartitionId();
    PlanRow first = PlanColumns.planRow(rows.next());
    PlanRow last = first;
    long rest = 0;
    while (rows.hasNext()) {
      PlanRow row = PlanColumns.planRow(rows.next());
      rest += cost.of(row, last);
      last = row;
    }
    return List.of(PlanColumns.row(first, part, rest), PlanColumns.row(last, part, rest))
        .iterator();
  }

  /** Adds the start of each part that has rows; returns the cost of all. */
  private static long starts(List<Row> ends, RowCost cost, List<Start> starts) {
    PlanRow last = null;
    long before = 0;
    for (int i = 0; i < ends.size(); i += 2) {
      starts.add(new Start(ends.get(i).getInt(5), last, before));
      before += cost.of(PlanColumns.planRow(ends.get(i)), last) + ends.get(i).getLong(6);
      last = PlanColumns.planRow(ends.get(i + 1));
    }
    return before;
  }

  /** The places of each part that may become cuts, in order. */
  private static Dataset<Row> places(
      Dataset<Row> sorted, List<Start> starts, RowCost cost, long total, int partitions) {
    MapPartitionsFunction<Row, Row> task =
        rows -> {
          int part = TaskContext.getPartitionId();
          CutSearch search = new CutSearch(total, partitions);
          for (Start start : starts) {
            if (start.part() == part) addAll(search, rows, start, cost);
          }
          return search.kept().stream()
              .map(p -> RowFactory.create(p.before(), p.shared(), p.signature(), p.key()))
              .iterator();
        };
    return sorted.mapPartitions(task, Encoders.row(PLACES));
  }

  private static void addAll(CutSearch search, Iterator<Row> rows, Start start, RowCost cost) {
    PlanRow last = start.last();
    long before = start.before();
    while (rows.hasNext()) {
      PlanRow row = PlanColumns.planRow(rows.next());
      if (!row.repeats(last)) search.add(CutPlace.between(last, row, before, cost));
      before += cost.of(row, last);
      last = row;
    }
  }
}
