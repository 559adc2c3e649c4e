package io.shadowbatch.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.spark.LocalSpark;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A batch file in the shape of OpenAI's and vLLM's examples through the commands. */
class OpenAiBatchTest {

  private static final Path BATCH = Path.of("src/test/resources/openai/batch.jsonl");
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int execute(String... args) {
    out.reset();
    err.reset();
    PrintStream o = new PrintStream(out, true, StandardCharsets.UTF_8);
    PrintStream e = new PrintStream(err, true, StandardCharsets.UTF_8);
    return new ShadowBatch(o, e).execute(args);
  }

  private int job(String command, Path input, String... more) throws IOException {
    List<String> args = new ArrayList<>(List.of(command, "--model", LocalSpark.model() + ""));
    args.addAll(List.of("--input", "" + input, "--input-format", "openai-batch"));
    args.addAll(List.of("--device-memory", "16m", "--max-error-rate", "1"));
    args.addAll(List.of(more));
    return execute(args.toArray(new String[0]));
  }

  private String errors() {
    return err.toString(StandardCharsets.UTF_8);
  }

  /** Lines of an export by custom_id, of which each may occur once. */
  private static Map<String, JsonNode> lines(Path kind) throws IOException {
    Map<String, JsonNode> lines = new TreeMap<>();
    for (String line : texts(kind)) {
      JsonNode json = JSON.readTree(line);
      assertThat(json.properties().stream().map(Map.Entry::getKey))
          .containsExactly("id", "custom_id", "response", "error");
      assertThat(lines.put(json.get("custom_id").asText(), json)).as("written twice").isNull();
    }
    return lines;
  }

  private static TreeSet<String> texts(Path kind) throws IOException {
    TreeSet<String> texts = new TreeSet<>();
    try (Stream<Path> files = Files.list(kind)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".jsonl")).toList()) {
        texts.addAll(Files.readAllLines(file));
      }
    }
    return texts;
  }

  /** Goal: each line of a batch file has its answer, or its error with what is wrong. */
  @Test
  void eachLineIsAnsweredOnce() throws IOException {
    Path output = folder.resolve("answers");
    int code = job("run", BATCH, "--output", "" + output, "--output-format", "openai-batch");
    assertThat(code).as(errors()).isZero();
    assertThat(errors()).contains("4 answers, 12 errors");
    Map<String, JsonNode> answers = lines(output.resolve("_openai/output"));
    assertThat(answers.keySet())
        .containsExactly("request-1", "request-2", "request-3", "request-4");
    for (JsonNode line : answers.values()) {
      assertThat(line.get("error").isNull()).isTrue();
      JsonNode response = line.get("response");
      assertThat(response.get("status_code").asInt()).isEqualTo(200);
      assertThat(response.get("request_id").asText()).startsWith("req_");
      JsonNode usage = response.get("body").get("usage");
      assertThat(usage.get("total_tokens").asInt())
          .isEqualTo(usage.get("prompt_tokens").asInt() + usage.get("completion_tokens").asInt());
      assertThat(usage.get("prompt_tokens_details").get("cached_tokens").isInt()).isTrue();
      assertThat(response.get("body").get("created").asLong()).isPositive();
    }
    assertChat(answers.get("request-1").get("response").get("body"));
    assertSamples(answers.get("request-2").get("response").get("body"));
    assertText(answers.get("request-3").get("response").get("body"));
    JsonNode last = answers.get("request-4").get("response").get("body");
    assertThat(last.get("model").asText()).as("none was asked for").isEqualTo("tiny.gguf");
    assertErrors(lines(output.resolve("_openai/errors")));
    assertThat(LocalSpark.spark().read().parquet("" + output).count())
        .as("rows of the table: three samples, two errors of one line")
        .isEqualTo(16 + 2 + 1);
  }

  private static void assertChat(JsonNode body) {
    assertThat(body.get("object").asText()).isEqualTo("chat.completion");
    assertThat(body.get("id").asText()).startsWith("chatcmpl-");
    assertThat(body.get("model").asText()).isEqualTo("gpt-4o-mini");
    assertThat(body.get("system_fingerprint").asText()).startsWith("tiny.gguf@");
    assertThat(body.get("choices")).hasSize(1);
    JsonNode choice = body.get("choices").get(0);
    assertThat(choice.get("message").get("role").asText()).isEqualTo("assistant");
    assertThat(choice.get("message").get("content").isTextual()).isTrue();
    assertThat(choice.get("finish_reason").asText()).isIn("stop", "length");
    assertThat(choice.get("logprobs").isNull()).isTrue();
    assertThat(body.get("usage").get("completion_tokens").asInt()).isBetween(1, 6);
  }

  private static void assertSamples(JsonNode body) {
    assertThat(body.get("choices")).hasSize(3);
    int tokens = 0;
    for (int i = 0; i < 3; i++) {
      JsonNode choice = body.get("choices").get(i);
      assertThat(choice.get("index").asInt()).isEqualTo(i);
      JsonNode content = choice.get("logprobs").get("content");
      tokens += content.size();
      assertThat(content.get(0).get("logprob").asDouble()).isNegative();
      assertThat(content.get(0).get("top_logprobs")).hasSize(2);
    }
    assertThat(body.get("usage").get("completion_tokens").asInt()).isEqualTo(tokens);
  }

  private static void assertText(JsonNode body) {
    assertThat(body.get("object").asText()).isEqualTo("text_completion");
    assertThat(body.get("id").asText()).startsWith("cmpl-");
    JsonNode choice = body.get("choices").get(0);
    assertThat(choice.get("text").isTextual()).isTrue();
    assertThat(choice.get("finish_reason").asText()).isEqualTo("length");
    assertThat(choice.get("logprobs").get("tokens")).hasSize(4);
    assertThat(choice.get("logprobs").get("top_logprobs").get(0)).hasSize(1);
    assertThat(body.get("usage").get("completion_tokens").asInt()).isEqualTo(4);
  }

  private static void assertErrors(Map<String, JsonNode> lines) {
    Map<String, String> found = new TreeMap<>();
    lines.forEach(
        (id, line) -> {
          assertThat(line.get("response").isNull()).isTrue();
          JsonNode error = line.get("error");
          assertThat(error.get("message").asText()).as(id).isNotBlank().doesNotContain("secret");
          found.put(id, error.get("code").asText());
        });
    assertThat(found)
        .containsExactlyInAnyOrderEntriesOf(
            Map.ofEntries(
                Map.entry("list", "UNSUPPORTED_PARAM"),
                Map.entry("embedding", "UNSUPPORTED_PARAM"),
                Map.entry("get", "BAD_INPUT"),
                Map.entry("stream", "UNSUPPORTED_PARAM"),
                Map.entry("json-mode", "UNSUPPORTED_PARAM"),
                Map.entry("tools", "UNSUPPORTED_PARAM"),
                Map.entry("top", "UNSUPPORTED_PARAM"),
                Map.entry("image", "BAD_INPUT"),
                Map.entry("no-messages", "BAD_INPUT"),
                Map.entry("no-body", "BAD_INPUT"),
                Map.entry("empty", "EMPTY_PROMPT"),
                Map.entry("torn", "BAD_INPUT")));
    assertThat(lines.get("torn").get("error").get("message").asText())
        .contains("the line: expected one JSON object, got other text from character");
  }

  /** Goal: an export from the table gives the lines that the run gave, as often as one wants. */
  @Test
  void exportsAreRepeatable() throws IOException {
    Path output = folder.resolve("answers");
    assertThat(execute("export", "--output", "" + output)).isEqualTo(3);
    assertThat(errors()).contains("no _SUCCESS");
    assertThat(job("run", BATCH, "--output", "" + output, "--output-format", "openai-batch"))
        .isZero();
    TreeSet<String> answers = texts(output.resolve("_openai/output"));
    TreeSet<String> failures = texts(output.resolve("_openai/errors"));
    Path to = folder.resolve("elsewhere/batch");
    for (Path target : List.of(to, to, output.resolve("_openai"))) {
      assertThat(execute("export", "--output", "" + output, "--to", "" + target))
          .as(errors())
          .isZero();
      JsonNode counts = JSON.readTree(out.toString(StandardCharsets.UTF_8));
      assertThat(counts.get("completed").asInt()).isEqualTo(4);
      assertThat(counts.get("failed").asInt()).isEqualTo(12);
      assertThat(JSON.readTree(target.resolve("export.json").toFile())).isEqualTo(counts);
      assertThat(texts(target.resolve("output"))).isEqualTo(answers).hasSize(4);
      assertThat(texts(target.resolve("errors"))).isEqualTo(failures).hasSize(12);
    }
    try (Stream<Path> left = Files.list(to.getParent())) {
      assertThat(left).as("nothing is left beside the export").containsExactly(to);
    }
    Path taken = Files.createDirectory(folder.resolve("taken"));
    assertThat(execute("export", "--output", "" + output, "--to", "" + taken)).isEqualTo(7);
    assertThat(errors()).contains("is no older export");
    assertThat(execute("export", "--output", "" + output, "--to", output + "/answers"))
        .isEqualTo(2);
    assertThat(errors()).contains("begins with _");
    assertThat(LocalSpark.spark().read().parquet("" + output).count()).isEqualTo(19);
  }

  /** Goal: plan and validate understand the format, and find what lines are wrong. */
  @Test
  void planAndValidate() throws IOException {
    assertThat(job("plan", BATCH)).as(errors()).isZero();
    JsonNode plan = JSON.readTree(out.toString(StandardCharsets.UTF_8));
    assertThat(plan.get("rows").asInt()).isEqualTo(16);
    assertThat(plan.get("error_rows").asInt()).isEqualTo(12);
    assertThat(plan.get("errors").get("UNSUPPORTED_PARAM").asInt()).isEqualTo(6);
    assertThat(plan.get("completions").asInt()).isEqualTo(19);
    assertThat(job("validate", BATCH)).isEqualTo(3);
    JsonNode found = JSON.readTree(out.toString(StandardCharsets.UTF_8));
    assertThat(found.get("prompts_from").asText()).isEqualTo("openai");
    assertThat(found.get("rows_with_errors").asInt()).isEqualTo(12);
  }

  /** Goal: lines that cannot be told apart end every command before anything is computed. */
  @Test
  void idsAreUniqueAndThere() throws IOException {
    StringBuilder lines = new StringBuilder();
    String line =
        "{\"custom_id\": %s, \"method\": \"POST\", \"url\": \"/v1/completions\","
            + " \"body\": {\"prompt\": \"secret\"}}\n";
    for (int i = 0; i < 40; i++) lines.append(line.formatted("\"id-" + i % 33 + "\""));
    lines.append(line.formatted("null")).append(line.formatted("\"\"")).append("{torn\n{torn\n");
    lines.append("{\"method\": \"POST\", \"url\": \"/v1/completions\", \"body\": {}}\n");
    Path input = Files.writeString(folder.resolve("twice.jsonl"), lines);
    Path output = folder.resolve("none");
    for (String command : List.of("run", "plan", "validate")) {
      assertThat(job(command, input, "--output", "" + output)).isEqualTo(3);
      assertThat(errors())
          .contains(
              "7 custom_ids occur more than once (id-0, id-1, id-2, id-3, id-4, ..),"
                  + " 3 lines have none")
          .doesNotContain("secret");
    }
    assertThat(output).doesNotExist();
  }

  /** Goal: options that name columns are refused, not left out in silence. */
  @Test
  void columnsCannotBeNamed() throws IOException {
    for (String option : List.of("--prompt-col", "--id-col", "--keep-cols", "--params-col")) {
      assertThat(job("run", BATCH, "--output", folder + "/x", option, "body")).isEqualTo(2);
      assertThat(errors()).contains(option + ": expected none with --input-format openai-batch");
    }
    assertThat(execute("run", "--model", "m", "--output", "x", "--output-format", "csv"))
        .isEqualTo(2);
  }
}
