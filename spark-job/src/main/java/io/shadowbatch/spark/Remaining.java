package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What is left of a job: the prepared rows without those that the output holds. Equal rows are
 * counted: of five, two of which are committed, three are left. One shuffle, on the names of rows;
 * nothing is collected.
 *
 * @param rows kept on executors' disks until {@link #close}
 * @param size how many
 * @param committed rows of the input that are in the output
 * @param written output rows there, samples counted
 * @param errors of these, error rows
 */
record Remaining(Dataset<Row> rows, long size, long committed, long written, long errors)
    implements AutoCloseable {
  private static final String KEY = PromptTable.PREFIX + "row_key";
  private static final String DONE = PromptTable.PREFIX + "done";
  private static final String PLACE = PromptTable.PREFIX + "place";

  /** Of a plan whose output holds something. */
  static Remaining of(SparkSession spark, JobPlan plan, String output) {
    StructType schema = CompletionTable.schema(plan.table().kept());
    Dataset<Row> committed =
        spark
            .read()
            .schema(schema)
            .parquet(output)
            .groupBy(col("meta.row_key").as(KEY))
            .agg(
                sum(when(col("sample_index").equalTo(0), 1).otherwise(0)).as(DONE),
                count(lit(1)).as("written"),
                sum(when(col("status").equalTo("error"), 1).otherwise(0)).as("errors"));
    Row totals = committed.agg(sum(DONE), sum("written"), sum("errors")).first();
    return left(plan, output, totals, committed.select(KEY, DONE));
  }

  private static Remaining left(JobPlan plan, String output, Row totals, Dataset<Row> committed) {
    Dataset<Row> rows =
        keyed(plan)
            .join(committed, CollectionConverters.asScala(List.of(KEY)).toSeq(), "left_outer")
            .withColumn(PLACE, row_number().over(Window.partitionBy(col(KEY)).orderBy(col(KEY))))
            .where(col(PLACE).gt(coalesce(col(DONE), lit(0))))
            .drop(KEY, DONE, PLACE)
            .persist(StorageLevel.DISK_ONLY());
    long count = rows.count();
    long done = totals.getLong(0);
    if (plan.rows() - count != done) {
      rows.unpersist();
      throw new JobException(
          Exit.OUTPUT,
          ("--output %s holds %,d rows that this command does not ask for (of %,d): the input or an"
                  + " option has changed; choose another output, or set --on-existing overwrite")
              .formatted(output, done - (plan.rows() - count), done));
    }
    return new Remaining(rows, count, done, totals.getLong(1), totals.getLong(2));
  }

  /** The prepared rows with their names. */
  private static Dataset<Row> keyed(JobPlan plan) {
    int kept = plan.table().kept().size();
    StructType schema = plan.prepared().schema().add(KEY, DataTypes.StringType, false);
    MapPartitionsFunction<Row, Row> name = rows -> named(rows, kept);
    return plan.prepared().mapPartitions(name, Encoders.row(schema));
  }

  private static Iterator<Row> named(Iterator<Row> rows, int kept) {
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public Row next() {
        Row row = rows.next();
        Prepared prepared = PreparedRows.read(row, kept);
        Object[] values = new Object[kept];
        Object[] all = new Object[row.size() + 1];
        for (int i = 0; i < row.size(); i++) all[i] = row.get(i);
        System.arraycopy(all, 0, values, 0, kept);
        all[row.size()] = RowKey.of(prepared.key(), prepared.id(), values);
        return RowFactory.create(all);
      }
    };
  }

  @Override
  public void close() {
    rows.unpersist();
  }
}
