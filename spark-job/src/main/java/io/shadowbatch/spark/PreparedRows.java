package io.shadowbatch.spark;

import static org.apache.spark.sql.types.DataTypes.BinaryType;
import static org.apache.spark.sql.types.DataTypes.IntegerType;
import static org.apache.spark.sql.types.DataTypes.StringType;

import io.shadowbatch.request.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Rows between preparation and inference: the kept columns, then what a request is made of. */
final class PreparedRows {

  static final String SIGNATURE = PromptTable.PREFIX + "signature";
  static final String REQUEST_KEY = PromptTable.PREFIX + "request_key";
  static final String PARAMS = PromptTable.PREFIX + "params";
  static final String PROMPT_BYTES = PromptTable.PREFIX + "prompt_bytes";
  static final String SAMPLES = PromptTable.PREFIX + "samples";
  static final String ERROR_CODE = PromptTable.PREFIX + "error_code";

  private static final int WIDTH = 10;

  /**
   * What a request is made of.
   *
   * @param id the user's key, or null
   * @param prompt rendered, as UTF-8; null if there is an error
   * @param params as {@link RowParams#json}; null if they are wrong
   * @param samples completions asked for
   * @param error null if the row is fine
   */
  record Prepared(
      String id,
      String key,
      byte[] prompt,
      String params,
      byte[] signature,
      int samples,
      RowException error) {

    /** What the output needs of a row whose prompt is read. */
    Prepared withoutPrompt() {
      return new Prepared(id, key, null, null, null, samples, error);
    }
  }

  private PreparedRows() {}

  static StructType schema(List<StructField> kept) {
    List<StructField> fields = new ArrayList<>(kept);
    StructType own =
        new StructType()
            .add(PromptTable.PREFIX + "request_id", StringType, true)
            .add(REQUEST_KEY, StringType, false)
            .add(PromptTable.PREFIX + "prompt", BinaryType, true)
            .add(PARAMS, StringType, true)
            .add(SIGNATURE, BinaryType, false)
            .add(SAMPLES, IntegerType, false)
            .add(PROMPT_BYTES, IntegerType, false)
            .add(ERROR_CODE, StringType, true)
            .add(PromptTable.PREFIX + "error_stage", StringType, true)
            .add(PromptTable.PREFIX + "error_message", StringType, true);
    fields.addAll(List.of(own.fields()));
    return new StructType(fields.toArray(new StructField[0]));
  }

  static Row row(Row input, int kept, Prepared p) {
    Object[] values = new Object[kept + WIDTH];
    for (int i = 0; i < kept; i++) values[i] = input.get(i);
    values[kept] = p.id();
    values[kept + 1] = p.key();
    values[kept + 2] = p.prompt();
    values[kept + 3] = p.params();
    values[kept + 4] = p.signature();
    values[kept + 5] = p.samples();
    values[kept + 6] = p.prompt() == null ? 0 : p.prompt().length;
    if (p.error() != null) {
      values[kept + 7] = p.error().code().name();
      values[kept + 8] = p.error().stage();
      values[kept + 9] = p.error().getMessage();
    }
    return RowFactory.create(values);
  }

  static Prepared read(Row row, int kept) {
    RowException error = null;
    if (!row.isNullAt(kept + 7)) {
      ErrorCode code = ErrorCode.valueOf(row.getString(kept + 7));
      error = new RowException(code, row.getString(kept + 8), row.getString(kept + 9));
    }
    return new Prepared(
        row.getString(kept),
        row.getString(kept + 1),
        (byte[]) row.get(kept + 2),
        row.getString(kept + 3),
        (byte[]) row.get(kept + 4),
        row.getInt(kept + 5),
        error);
  }
}
