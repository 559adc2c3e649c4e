package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.request.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.schema.MessageTypeParser;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SchemaTest {

  private static final Path SCHEMAS = Path.of("..", "schemas");

  @TempDir Path folder;

  /** Goal: a file that the job wrote has exactly the columns of the schema, types included. */
  @Test
  void writtenFileHasTheSchema() throws IOException {
    Dataset<Row> prompts =
        LocalSpark.spark().sql("select '1' as id, 'one two' as prompt, 2 as max_tokens_unused");
    Dataset<Row> rows =
        LocalSpark.run(prompts.drop("max_tokens_unused"), folder, "max-tokens=2", "logprobs=2");
    String file = rows.inputFiles()[0];
    String text = Files.readString(SCHEMAS.resolve("completions.schema"));
    assertThat(footer(file)).isEqualTo(MessageTypeParser.parseMessageType(text).toString());
  }

  /** Goal: an input of the published schema needs no option, and Spark writes it so. */
  @Test
  void promptsOfTheSchemaAreUnderstood() throws IOException {
    Dataset<Row> prompts =
        LocalSpark.spark()
            .sql(
                "select * from values"
                    + " ('a', array(named_struct('role', 'user', 'content', 'hi')), '{\"n\": 2}'),"
                    + " (null, null, null) as t(request_id, messages, sampling_params)")
            .selectExpr(
                "request_id",
                "cast(messages as array<struct<role:string,content:string>>) as messages",
                "sampling_params");
    Path input = folder.resolve("prompts");
    prompts.write().parquet(input.toString());
    Dataset<Row> rows = LocalSpark.run(input, folder, "max-tokens=2", "max-error-rate=1");
    assertThat(rows.count()).isEqualTo(3);
    StructType published = LocalSpark.spark().read().parquet(input.toString()).schema();
    assertThat(columns(published, "", new ArrayList<>()))
        .containsExactly(
            "request_id", "messages", "messages.role", "messages.content", "sampling_params");
    String text = Files.readString(SCHEMAS.resolve("prompts.schema"));
    for (StructField f : published.fields()) assertThat(text).contains(" " + f.name() + " ");
    MessageTypeParser.parseMessageType(text);
  }

  /** Goal: the dictionary names every column once, and no other. */
  @Test
  void dictionaryIsComplete() throws IOException {
    String text = Files.readString(SCHEMAS.resolve("README.md"));
    String output = text.substring(text.indexOf("## Output"), text.indexOf("## Error codes"));
    List<String> expected =
        columns(CompletionTable.schema(List.of()), "", new ArrayList<>()).stream()
            .filter(c -> !c.startsWith("logprobs."))
            .filter(c -> !List.of("usage", "error", "timing", "meta").contains(c))
            .toList();
    assertThat(firstCells(output)).containsExactlyElementsOf(expected);
  }

  /** Goal: the list of error codes is closed, in code and in words. */
  @Test
  void errorCodesAreListed() throws IOException {
    String text = Files.readString(SCHEMAS.resolve("README.md"));
    List<String> codes = Arrays.stream(ErrorCode.values()).map(Enum::name).toList();
    assertThat(firstCells(text.substring(text.indexOf("## Error codes"))))
        .containsExactlyElementsOf(codes);
  }

  private static List<String> firstCells(String table) {
    Matcher m = Pattern.compile("(?m)^\\| `([A-Za-z_.]+)` \\|").matcher(table);
    return Stream.iterate(m, Matcher::find, x -> x).map(x -> x.group(1)).toList();
  }

  private static List<String> columns(DataType type, String prefix, List<String> into) {
    if (type instanceof ArrayType a) return columns(a.elementType(), prefix, into);
    if (!(type instanceof StructType struct)) return into;
    for (StructField f : struct.fields()) {
      String name = prefix.isEmpty() ? f.name() : prefix + "." + f.name();
      into.add(name);
      columns(f.dataType(), name, into);
    }
    return into;
  }

  private static String footer(String file) throws IOException {
    var path = new org.apache.hadoop.fs.Path(file);
    try (var reader = ParquetFileReader.open(HadoopInputFile.fromPath(path, new Configuration()))) {
      return reader.getFooter().getFileMetaData().getSchema().toString();
    }
  }
}
