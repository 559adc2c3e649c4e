package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BadInputTest {

  private static final byte[] NOT_UTF8 = {'o', 'k', (byte) 0xc3, (byte) 0x28};

  @TempDir Path folder;

  /** Goal: rows that cannot work become error rows, and the others their completions. */
  @Test
  void badRowsBecomeErrorRows() throws IOException {
    StructType schema =
        new StructType()
            .add("id", DataTypes.StringType)
            .add("prompt", DataTypes.BinaryType)
            .add("sampling_params", DataTypes.StringType);
    List<Row> rows = new ArrayList<>();
    rows.add(row("good", "the end", null));
    rows.add(RowFactory.create("null", null, null));
    rows.add(row("empty", "", null));
    rows.add(RowFactory.create("utf8", NOT_UTF8, null));
    rows.add(row("long", "in the ".repeat(2000), null));
    rows.add(row("huge", "in the ".repeat(1_430_000), null));
    rows.add(row("word", "x".repeat(10_000_000), null));
    rows.add(row("key", "a", "{\"max_tokns\": 3}"));
    rows.add(row("value", "a", "{\"max_tokens\": \"many\"}"));
    rows.add(row("json", "a", "{"));
    rows.add(row("three", "a", "{\"n\": 3}"));
    rows.add(row("three-empty", "", "{\"n\": 3}"));
    rows.add(row("three-cold", "a", "{\"n\": 3, \"temperature\": -1}"));
    Dataset<Row> out =
        LocalSpark.run(LocalSpark.spark().createDataFrame(rows, schema), folder, "max-tokens=2");
    Map<String, String> codes = new TreeMap<>();
    for (Row r : out.collectAsList()) {
      Row error = r.getAs("error");
      codes.merge(
          r.getAs("request_id"), error == null ? "ok" : error.getAs("code"), (a, b) -> a + " " + b);
      assertThat(r.<String>getAs("status")).isEqualTo(error == null ? "ok" : "error");
      assertThat(r.<Object>getAs("token_ids")).isNotNull();
      assertThat(r.<Row>getAs("usage")).isNotNull();
      assertThat(r.<Row>getAs("meta").<String>getAs("kv_mode")).isEqualTo("dense");
    }
    assertThat(codes)
        .containsExactlyInAnyOrderEntriesOf(
            new TreeMap<>(
                Map.ofEntries(
                    Map.entry("good", "ok"),
                    Map.entry("null", "BAD_INPUT"),
                    Map.entry("empty", "EMPTY_PROMPT"),
                    Map.entry("utf8", "BAD_INPUT"),
                    Map.entry("long", "PROMPT_TOO_LONG"),
                    Map.entry("huge", "PROMPT_TOO_LONG"),
                    Map.entry("word", "TOKENIZE_ERROR"),
                    Map.entry("key", "UNSUPPORTED_PARAM"),
                    Map.entry("value", "UNSUPPORTED_PARAM"),
                    Map.entry("json", "BAD_INPUT"),
                    Map.entry("three", "ok ok ok"),
                    Map.entry(
                        "three-cold", "UNSUPPORTED_PARAM UNSUPPORTED_PARAM UNSUPPORTED_PARAM"),
                    Map.entry("three-empty", "EMPTY_PROMPT EMPTY_PROMPT EMPTY_PROMPT"))));
  }

  /** Goal: malformed strings in Parquet are seen too, not replaced in silence. */
  @Test
  void malformedStringsAreErrorRows() throws IOException {
    Dataset<Row> prompts =
        LocalSpark.spark()
            .createDataFrame(
                List.of(RowFactory.create((Object) NOT_UTF8)),
                new StructType().add("b", DataTypes.BinaryType))
            .selectExpr(
                "array(named_struct('role', 'user', 'content', cast(b as string))) as messages");
    Row error = LocalSpark.run(prompts, folder, "max-error-rate=1").first().getAs("error");
    assertThat(error.<String>getAs("code")).isEqualTo("BAD_INPUT");
    assertThat(error.<String>getAs("message")).contains("UTF-8");
  }

  /** Goal: chats in the wrong form are error rows that say where. */
  @Test
  void badChats() throws IOException {
    Dataset<Row> prompts =
        LocalSpark.spark()
            .sql(
                "select * from values ('[]'), ('{'), ('[{\"role\":\"user\"}]'),"
                    + " ('[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]'),"
                    + " ('[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]')"
                    + " as t(messages)");
    List<String> found = new ArrayList<>();
    for (Row r : LocalSpark.run(prompts, folder, "max-tokens=1", "seed=3").collectAsList()) {
      Row error = r.getAs("error");
      found.add(error == null ? "ok" : error.getAs("code") + " " + error.getAs("message"));
    }
    assertThat(found)
        .anySatisfy(m -> assertThat(m).contains("EMPTY_PROMPT"))
        .anySatisfy(m -> assertThat(m).contains("JSON array"))
        .anySatisfy(m -> assertThat(m).contains("messages[0].content: expected a text"))
        .anySatisfy(m -> assertThat(m).contains("only parts with a text"))
        .contains("ok")
        .hasSize(5);
  }

  /** Goal: a table that cannot work ends the job with a message that names column and cure. */
  @Test
  void badTables() {
    assertInput("select 1 as prompt", "column prompt: expected STRING or BINARY, got int");
    assertInput("select 1 as messages", "column messages: expected ARRAY<STRUCT<role, content>>");
    assertInput("select 'x' as text", "neither a column messages nor prompt; it has text");
    assertInput("select 'x' as prompt, 'y' as messages", "messages and a column prompt");
    assertInput("select 'x' as prompt, 'y' as status", "column status", "--keep-cols");
    assertInput("select 'x' as prompt, 1 as sampling_params", "column sampling_params");
    assertInput(
        "select 'x' as a", "--prompt-template body: no such column", "prompt-template={body}");
    assertInput("select 'x' as prompt", "--id-col key: no such column", "id-col=key");
    assertInput("select 'x' as prompt", "--keep-cols k: no such column", "keep-cols=k");
  }

  /** Goal: paths that do not work end the job with the right exit code. */
  @Test
  void badPaths() throws IOException {
    Path prompts = folder.resolve("prompts");
    LocalSpark.spark().sql("select 'x' as prompt").write().parquet(prompts.toString());
    String model = "model=" + LocalSpark.model();
    assertExit(Exit.INPUT, "does not exist", model, "input=/nowhere", "output=" + folder + "/o1");
    assertExit(Exit.USAGE, "--output is missing", model, "input=" + prompts);
    assertExit(Exit.OUTPUT, "exists", model, "input=" + prompts, "output=" + prompts);
    assertExit(
        Exit.OUTPUT,
        "no job of ours",
        model,
        "input=" + prompts,
        "output=" + prompts,
        "on-existing=overwrite");
    assertExit(
        Exit.MODEL,
        "does not exist",
        "model=/nowhere.gguf",
        "input=" + prompts,
        "output=" + folder + "/o2");
    Path truncated = folder.resolve("truncated.gguf");
    byte[] whole = Files.readAllBytes(LocalSpark.model());
    Files.write(truncated, java.util.Arrays.copyOf(whole, whole.length / 2));
    assertExit(
        Exit.MODEL,
        "truncated.gguf",
        "model=" + truncated,
        "input=" + prompts,
        "output=" + folder + "/o3");
    Path garbage = Files.writeString(folder.resolve("garbage.gguf"), "not a model");
    assertExit(
        Exit.MODEL,
        "garbage.gguf",
        "model=" + garbage,
        "input=" + prompts,
        "output=" + folder + "/o4");
    Path text = Files.writeString(folder.resolve("text.parquet"), "not parquet");
    assertExit(Exit.INPUT, "--input", model, "input=" + text, "output=" + folder + "/o5");
  }

  private static Row row(String id, String prompt, String params) {
    return RowFactory.create(id, prompt.getBytes(java.nio.charset.StandardCharsets.UTF_8), params);
  }

  private void assertInput(String sql, String message, String... pairs) {
    assertThatThrownBy(() -> LocalSpark.run(LocalSpark.spark().sql(sql), folder, pairs))
        .hasMessageContaining(message)
        .isInstanceOfSatisfying(
            JobException.class, e -> assertThat(e.exit()).isEqualTo(Exit.INPUT));
  }

  private void assertInput(String sql, String message, String cure) {
    if (cure.contains("=")) assertInput(sql, message, new String[] {cure});
    else assertInput(sql, message, new String[0]);
  }

  private static void assertExit(Exit exit, String message, String... pairs) {
    assertThatThrownBy(
            () ->
                new ShadowBatchJob(
                        LocalSpark.spark(),
                        LocalSpark.settings(pairs),
                        java.time.Instant.EPOCH,
                        LocalSpark.quiet())
                    .run())
        .hasMessageContaining(message)
        .isInstanceOfSatisfying(JobException.class, e -> assertThat(e.exit()).isEqualTo(exit));
  }
}
