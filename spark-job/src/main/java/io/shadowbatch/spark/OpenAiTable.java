package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.types.DataTypes.StringType;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.PromptReader.Source;
import java.io.IOException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Collectors;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The lines of an OpenAI batch file, {@code {custom_id, method, url, body}} each, as a table of
 * prompts. The body stays as it is written; {@link OpenAiRequest} reads it.
 */
final class OpenAiTable {

  /** Name of the format, of input and output. */
  static final String FORMAT = "openai-batch";

  /** Columns that pass through, for the answer. */
  static final String URL = "openai_url";

  static final String MODEL = "openai_model";

  static final String METHOD = PromptTable.PREFIX + "method";
  static final String BODY = PromptTable.PREFIX + "body";

  /** What is wrong with a line that is no JSON object; null if it is one. */
  static final String CORRUPT = PromptTable.PREFIX + "corrupt";

  private static final StructType COLUMNS =
      new StructType()
          .add(URL, StringType)
          .add(MODEL, StringType)
          .add(PromptReader.ID, StringType)
          .add(METHOD, StringType)
          .add(BODY, StringType)
          .add(CORRUPT, StringType);

  private static final int KEPT = 2;
  private static final int CORRUPT_AT = 5;

  private static final JsonFactory JSON = new JsonFactory();

  private static final int IDS_SHOWN = 5;
  private static final int ID_CHARS_SHOWN = 64;

  private OpenAiTable() {}

  /** Refuses options that name columns: the lines have their own. */
  static void check(Settings s) {
    if (!FORMAT.equals(s.text(JobOptions.INPUT_FORMAT))) return;
    for (JobOption option :
        List.of(
            JobOptions.ID_COL,
            JobOptions.PROMPT_COL,
            JobOptions.MESSAGES_COL,
            JobOptions.PROMPT_TEMPLATE,
            JobOptions.PROMPT_FIELDS,
            JobOptions.SYSTEM_PROMPT_COL,
            JobOptions.PARAMS_COL,
            JobOptions.KEEP_COLS)) {
      if (s.text(option) == null) continue;
      throw s.wrong(
          option, "none with --input-format openai-batch, whose lines say it", s.text(option));
    }
  }

  static PromptTable open(SparkSession spark, JobConfig config) {
    if (config.input().path() == null) {
      throw new JobException(Exit.USAGE, "--input is missing: path of the OpenAI batch lines");
    }
    MapPartitionsFunction<Row, Row> split = lines -> new Lines(lines);
    // Not Spark's JSON source: of a line with two objects it reads the first and drops the other.
    Dataset<Row> rows =
        spark
            .read()
            .options(config.input().options())
            .text(config.input().path())
            .select(col("value").cast(DataTypes.BinaryType))
            .mapPartitions(split, Encoders.row(COLUMNS));
    List<StructField> kept = Arrays.asList(COLUMNS.fields()).subList(0, KEPT);
    PromptReader reader =
        new PromptReader(Source.OPENAI, null, null, config.prompts().systemPrompt(), KEPT);
    return new PromptTable(rows, reader, kept, null);
  }

  /** The rows of one partition's lines, of which blank ones are none. */
  private static final class Lines implements Iterator<Row> {
    private final Iterator<Row> lines;
    private Row next;

    Lines(Iterator<Row> lines) {
      this.lines = lines;
    }

    @Override
    public boolean hasNext() {
      while (next == null && lines.hasNext()) {
        byte[] line = lines.next().getAs(0);
        if (!isBlank(line)) next = row(line);
      }
      return next != null;
    }

    @Override
    public Row next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more lines");
      Row row = next;
      next = null;
      return row;
    }

    private static boolean isBlank(byte[] line) {
      for (byte b : line) if (b < 0 || b > ' ') return false;
      return true;
    }
  }

  private static Row row(byte[] line) {
    Object[] values = new Object[COLUMNS.length()];
    try {
      split(Utf8.decode(line, "value of the line"), values);
    } catch (RowException e) {
      values[CORRUPT_AT] = e.getMessage();
    }
    // with its schema: Spark hands it on as it is where no other step is between
    return new GenericRowWithSchema(values, COLUMNS);
  }

  /** Puts a line's fields where their columns are, as far as they can be read. */
  private static void split(String line, Object[] values) {
    try (JsonParser json = JSON.createParser(line)) {
      if (json.nextToken() != JsonToken.START_OBJECT) throw wrong("got JSON of another kind");
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        String name = json.currentName();
        json.nextToken();
        switch (name) {
          case "url" -> values[0] = text(json);
          case "custom_id" -> values[2] = text(json);
          case "method" -> values[3] = text(json);
          case "body" -> {
            int start = (int) json.currentTokenLocation().getCharOffset();
            values[1] = model(json);
            values[4] = line.substring(start, (int) json.currentLocation().getCharOffset());
          }
          default -> json.skipChildren();
        }
      }
      if (json.nextToken() != null) throw wrong("got more behind it");
    } catch (JsonProcessingException e) {
      // The parser's own message quotes the line, which may hold a prompt.
      long at = e.getLocation() == null ? 0 : e.getLocation().getCharOffset();
      throw wrong("got other text from character %d of %d on".formatted(at, line.length()));
    } catch (IOException e) {
      throw new IllegalStateException("a text in memory can be read", e);
    }
  }

  /** Steps over a value, and takes the model that it names if it is a request. */
  private static String model(JsonParser json) throws IOException {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      json.skipChildren();
      return null;
    }
    String model = null;
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      String name = json.currentName();
      json.nextToken();
      if (name.equals("model")) model = text(json);
      else json.skipChildren();
    }
    return model;
  }

  /** A text, or a number or truth value as one; null for all else, which is stepped over. */
  private static String text(JsonParser json) throws IOException {
    if (json.currentToken().isScalarValue()) {
      return json.currentToken() == JsonToken.VALUE_NULL ? null : json.getText();
    }
    json.skipChildren();
    return null;
  }

  private static RowException wrong(String what) {
    return new RowException(
        ErrorCode.BAD_INPUT, "input", "the line: expected one JSON object, " + what);
  }

  /**
   * Refuses lines that share their custom_id or have none, since nobody could tell their answers
   * apart. Broken lines are left out: they become error rows. The driver gets two counts, and a few
   * ids if something is wrong.
   */
  static void requireIds(Dataset<Row> rows, String path) {
    Column missing = coalesce(col(PromptReader.ID), lit("")).equalTo("");
    Dataset<Row> wrong =
        rows.where(col(CORRUPT).isNull())
            .groupBy(col(PromptReader.ID))
            .agg(count(lit(1)).as("lines"))
            .where(missing.or(col("lines").gt(1)));
    Row counts =
        wrong
            .agg(count(when(missing, null).otherwise(1)), sum(when(missing, col("lines"))))
            .first();
    long repeated = counts.getLong(0);
    long without = counts.isNullAt(1) ? 0 : counts.getLong(1);
    if (repeated == 0 && without == 0) return;
    List<Row> some =
        wrong
            .where(missing.unary_$bang())
            .orderBy(col(PromptReader.ID))
            .limit(IDS_SHOWN)
            .collectAsList();
    String ids = some.stream().map(r -> shown(r.getString(0))).collect(Collectors.joining(", "));
    throw new JobException(
        Exit.INPUT,
        "--input %s: each line needs a custom_id of its own; %,d custom_ids occur more than once%s,"
                .formatted(path, repeated, repeated == 0 ? "" : " (" + ids + more(repeated) + ")")
            + " %,d lines have none".formatted(without));
  }

  private static String more(long ids) {
    return ids > IDS_SHOWN ? ", .." : "";
  }

  private static String shown(String id) {
    return id.length() > ID_CHARS_SHOWN ? id.substring(0, ID_CHARS_SHOWN) + ".." : id;
  }
}
