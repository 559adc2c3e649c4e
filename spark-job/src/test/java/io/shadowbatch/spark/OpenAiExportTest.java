package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tables of completions, made at random, as OpenAI's lines. */
class OpenAiExportTest {

  private static final long SEED = 811;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<StructField> KEPT =
      List.of(
          DataTypes.createStructField(OpenAiTable.URL, DataTypes.StringType, true),
          DataTypes.createStructField(OpenAiTable.MODEL, DataTypes.StringType, true));

  @TempDir Path folder;

  private final Random random = new Random(SEED);

  private String text() {
    StringBuilder out = new StringBuilder();
    for (int i = random.nextInt(20); i > 0; i--) {
      int c = random.nextInt(4) == 0 ? random.nextInt(0x2fff) : random.nextInt(128);
      out.appendCodePoint(random.nextInt(20) == 0 ? 0x1f600 + random.nextInt(40) : c);
    }
    return out.toString();
  }

  /** A row; {@code error} is null if it went well, {@code kept} are url and model. */
  private static Row row(
      String id, String key, int sample, String completion, String error, String... kept) {
    Row usage = RowFactory.create(10L, 5L, 15L, 3L + sample, 0L);
    Row failure =
        error == null ? null : RowFactory.create(error, "what is wrong", "input", false, 1);
    Row time = RowFactory.create(0.0, 1.0, 2.0, 3.0);
    Row second = RowFactory.create(2, "b", Double.NEGATIVE_INFINITY);
    Object[] top = {RowFactory.create(1, "a\"", -0.25), second};
    Object[] logprobs = {RowFactory.create(1, "a\"", -0.25, top)};
    Row meta =
        RowFactory.create(
            "20261122T010203-abcd",
            "m.gguf",
            "sha",
            "e",
            "cpu",
            "dense",
            "p",
            1L,
            null,
            0,
            0,
            false,
            null);
    List<Object> values = new ArrayList<>(List.of(key, sample));
    values.add(0, id);
    values.addAll(java.util.Arrays.asList((Object[]) kept));
    values.add(error == null ? "ok" : "error");
    values.add(completion);
    values.add(null);
    values.add(error == null ? "stop" : null);
    values.add(null);
    values.add(usage);
    values.add(failure);
    values.add(time);
    values.add(error == null && sample == 0 ? logprobs : null);
    values.add(new Object[] {1});
    values.add(meta);
    return RowFactory.create(values.toArray());
  }

  private Path table(List<Row> rows, List<StructField> kept, int parts) throws IOException {
    Path output = Files.createTempDirectory(folder, "out").resolve("completions");
    StructType schema = CompletionTable.schema(kept);
    LocalSpark.spark()
        .createDataFrame(rows, schema)
        .repartition(parts)
        .write()
        .parquet(output.toString());
    return output;
  }

  private static List<String> lines(Path export, String kind) throws IOException {
    List<String> lines = new ArrayList<>();
    try (Stream<Path> files = Files.list(export.resolve(kind))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".jsonl")).toList()) {
        lines.addAll(List.of(Files.readString(file).split("\n")));
      }
    }
    lines.removeIf(String::isEmpty);
    Collections.sort(lines);
    return lines;
  }

  private static List<String> export(Path output) throws IOException {
    OpenAiExport.of(LocalSpark.spark(), output.toString(), null);
    List<String> lines = lines(output.resolve("_openai"), "output");
    lines.addAll(lines(output.resolve("_openai"), "errors"));
    return lines;
  }

  /** Goal: a line for each request with all its samples, the same however rows were stored. */
  @Test
  void samplesOfARequestAreOneLine() throws IOException {
    System.out.println("samplesOfARequestAreOneLine: seed " + SEED);
    List<Row> rows = new ArrayList<>();
    Map<String, List<String>> expected = new TreeMap<>();
    Map<String, String> failed = new TreeMap<>();
    for (int i = 0; i < 120; i++) {
      String id = i + text();
      int bad = random.nextInt(6) == 0 ? 0 : -1;
      List<String> texts = new ArrayList<>();
      int n = 1 + random.nextInt(4);
      for (int s = 0; s < n; s++) {
        String error = s == bad * (n - 1) && bad == 0 ? "ENGINE_ERROR" : null;
        texts.add(error == null ? text() : null);
        rows.add(row(id, "key" + i % 50, s, texts.get(s), error, "/v1/chat/completions", "gpt"));
      }
      if (bad < 0) expected.put(id, texts);
      else failed.put(id, "ENGINE_ERROR");
    }
    List<String> first = export(table(rows, KEPT, 3));
    Collections.shuffle(rows, random);
    Path output = table(rows, KEPT, 5);
    assertThat(export(output)).isEqualTo(first);
    assertThat(export(output)).as("again, over the first").isEqualTo(first);
    assertThat(first).hasSize(120);
    for (String text : first) {
      JsonNode line = JSON.readTree(text);
      String id = line.get("custom_id").asText();
      if (line.get("response").isNull()) {
        assertThat(failed.remove(id)).isEqualTo(line.get("error").get("code").asText());
        continue;
      }
      List<String> texts = new ArrayList<>();
      for (JsonNode choice : line.get("response").get("body").get("choices")) {
        assertThat(choice.get("index").asInt()).isEqualTo(texts.size());
        texts.add(choice.get("message").get("content").asText());
      }
      assertThat(texts).isEqualTo(expected.remove(id));
      JsonNode usage = line.get("response").get("body").get("usage");
      assertThat(usage.get("completion_tokens").asInt()).isEqualTo(5 * texts.size());
      assertThat(usage.get("prompt_tokens_details").get("cached_tokens").asInt()).isEqualTo(3);
    }
    assertThat(expected).isEmpty();
    assertThat(failed).isEmpty();
  }

  /** Goal: rows of one id and key, or of none, stay as many lines as they were. */
  @Test
  void equalRequestsStayApart() throws IOException {
    List<Row> rows = new ArrayList<>();
    for (int copy = 0; copy < 4; copy++) {
      for (int s = 0; s < 3; s++) rows.add(row("same", "key", s, "t" + s, null));
      rows.add(row(null, "key", 0, null, "BAD_INPUT"));
    }
    Path output = table(rows, List.of(), 3);
    List<String> lines = export(output);
    assertThat(lines).hasSize(8);
    assertThat(lines(output.resolve("_openai"), "errors"))
        .hasSize(4)
        .allMatch(l -> l.contains("\"custom_id\":null"));
    for (String text : lines(output.resolve("_openai"), "output")) {
      List<String> texts = JSON.readTree(text).findValuesAsText("content");
      texts.removeIf(String::isEmpty);
      assertThat(texts).containsExactly("t0", "t1", "t2");
    }
  }

  /** Goal: a line has the documented form, to the last field. */
  @Test
  void linesHaveTheForm() throws IOException {
    List<Row> rows = List.of(row("é\"1", "k", 0, "a\nb", null, "/v1/completions", null));
    JsonNode text = JSON.readTree(export(table(rows, KEPT, 1)).get(0));
    String name = text.get("id").asText().replace("batch_req_", "");
    assertThat(name).matches("[0-9a-f]{32}");
    assertThat(text)
        .isEqualTo(
            JSON.readTree(
                """
                {"id": "batch_req_NAME", "custom_id": "é\\"1", "response": {"status_code": 200,
                "request_id": "req_NAME", "body": {"id": "cmpl-NAME", "object": "text_completion",
                "created": 1795309323, "model": "m.gguf", "choices": [{"index": 0, "text": "a\\nb",
                "logprobs": {"tokens": ["a\\""], "token_logprobs": [-0.25],
                "top_logprobs": [{"a\\"": -0.25, "b": -9999.0}]}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 3}},
                "system_fingerprint": "m.gguf@sha"}}, "error": null}
                """
                    .replace("NAME", name)));
    List<Row> chats = List.of(row("1", "k", 0, "ab", null));
    String chat = export(table(chats, List.of(), 1)).get(0);
    assertThat(chat)
        .contains("\"object\":\"chat.completion\"", "\"model\":\"m.gguf\"")
        .contains("{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"ab\"}")
        .contains("\"content\":[{\"token\":\"a\\\"\",\"logprob\":-0.25,\"bytes\":null,");
  }

  /** Goal: an output without rows exports as empty folders, not as a failure. */
  @Test
  void nothingIsExportedAsNothing() throws IOException {
    Path output = table(List.of(), KEPT, 1);
    assertThat(export(output)).isEmpty();
    assertThat(output.resolve("_openai/export.json")).content().contains("\"total\":0");
    assertThat(LocalSpark.spark().read().parquet(output.toString()).count()).isZero();
  }
}
