package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.plan.PlanRow;
import io.shadowbatch.spark.PreparedRows.Prepared;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * What planning reads of prepared rows: no prompts, and no rows with errors, which cost nothing.
 */
final class PlanColumns {

  static final Column[] ORDER = {col(PreparedRows.SIGNATURE), col(PreparedRows.REQUEST_KEY)};

  private PlanColumns() {}

  /** The columns that {@link #read} wants. */
  static Dataset<Row> of(Dataset<Row> prepared) {
    return prepared
        .where(col(PreparedRows.ERROR_CODE).isNull())
        .select(
            col(PreparedRows.SIGNATURE),
            col(PreparedRows.REQUEST_KEY),
            col(PreparedRows.PROMPT_BYTES),
            col(PreparedRows.SAMPLES),
            col(PreparedRows.PARAMS));
  }

  static PlanRow read(Row row, int rootBytes) {
    int below = Math.max(0, row.getInt(2) - rootBytes);
    int outputTokens = RowParams.maxTokens(row.getString(4));
    return new PlanRow(row.getAs(0), row.getString(1), below, outputTokens, row.getInt(3));
  }

  /** Of a row without an error, whose answers have at most so many tokens. */
  static PlanRow of(Prepared row, int rootBytes, int outputTokens) {
    int below = Math.max(0, row.prompt().length - rootBytes);
    return new PlanRow(row.signature(), row.key(), below, outputTokens, row.samples());
  }

  /** Plan rows as a table of their own. */
  static StructType schema() {
    return new StructType()
        .add(PreparedRows.SIGNATURE, DataTypes.BinaryType, false)
        .add(PreparedRows.REQUEST_KEY, DataTypes.StringType, false)
        .add("bytes", DataTypes.LongType, false)
        .add("output_tokens", DataTypes.IntegerType, false)
        .add("samples", DataTypes.IntegerType, false);
  }

  /** A row of that table, with more columns behind. */
  static Row row(PlanRow row, Object... more) {
    Object[] values = new Object[5 + more.length];
    values[0] = row.signature();
    values[1] = row.key();
    values[2] = row.bytes();
    values[3] = row.outputTokens();
    values[4] = row.samples();
    System.arraycopy(more, 0, values, 5, more.length);
    return RowFactory.create(values);
  }

  static PlanRow planRow(Row row) {
    return new PlanRow(
        row.getAs(0), row.getString(1), row.getLong(2), row.getInt(3), row.getInt(4));
  }
}
