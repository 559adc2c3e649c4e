package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.Arrays;
import java.util.function.DoubleFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;

/**
 * Where prepared rows are sampled, without preparing those that are left out.
 *
 * @param rows of the input; 0 if nobody knows
 * @param share gives all rows of about such a share of the requests
 */
record SampleSource(long rows, DoubleFunction<Dataset<Row>> share) {
  private static final long PARTS = 1 << 20;

  /** No rows are left out. */
  static SampleSource whole(Dataset<Row> prepared) {
    return new SampleSource(0, share -> prepared);
  }

  /** Of prepared rows: those of a share of the requests. */
  static Dataset<Row> requests(Dataset<Row> prepared, double share) {
    if (share >= 1) return prepared;
    Column place = pmod(xxhash64(prepared.col(PreparedRows.REQUEST_KEY)), lit(PARTS));
    return prepared.where(place.lt(lit(Math.round(share * PARTS))));
  }

  /**
   * Of a table as {@link PromptTable} has it: the rows of a share of all values that prompts are
   * made of, so that equal requests are in it or left out together.
   */
  static Dataset<Row> rows(Dataset<Row> table, double share) {
    Column[] content =
        Arrays.stream(table.schema().fields())
            .filter(f -> f.name().startsWith(PromptTable.PREFIX))
            .filter(f -> !f.name().equals(PromptReader.ID) && !(f.dataType() instanceof MapType))
            .map(StructField::name)
            .map(table::col)
            .toArray(Column[]::new);
    return table.where(pmod(xxhash64(content), lit(PARTS)).lt(lit(Math.round(share * PARTS))));
  }
}
