package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.InferenceTask.RawPrompts;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Lines of OpenAI batch files become rows, each once, with exactly what they ask. */
class OpenAiTableTest {

  private static final long SEED = 20261122;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String[] PIECES = {
    "the ",
    "end",
    "\"",
    "\\",
    "\n",
    "\t",
    "\u0001",
    "é",
    "日本",
    "\ud83d\ude00",
    "\u2028",
    "0.10",
    "{}",
    "<|im_start|>",
    "/",
    "\\u00e9",
    "'",
    ","
  };

  @TempDir Path folder;

  /** A line with what is to come of it; no prompt where it is broken, then perhaps no id. */
  private record Line(String text, String id, String prompt, String model) {}

  private static List<Line> lines(Random random, int count) {
    List<Line> lines = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean raw = random.nextBoolean();
      String prompt = text(random);
      String id = i + " " + text(random);
      ObjectNode line = JSON.createObjectNode();
      line.put("custom_id", id).put("method", "POST");
      line.put("url", raw ? OpenAiRequest.COMPLETIONS : OpenAiRequest.CHAT);
      ObjectNode body = line.putObject("body");
      String model = random.nextBoolean() ? "m " + text(random) : null;
      if (model != null) body.put("model", model);
      if (raw) {
        body.put("prompt", prompt);
      } else {
        body.putArray("messages").addObject().put("role", "user").put("content", prompt);
      }
      body.put("n", 1 + random.nextInt(3)).put("temperature", 0.10).put("max_tokens", 1);
      String whole = random.nextBoolean() ? line.toString() : escaped(line);
      if (random.nextInt(8) == 0) {
        int cut = 1 + random.nextInt(whole.length() - 1);
        boolean named = cut > whole.indexOf("\",\"method\"");
        lines.add(new Line(whole.substring(0, cut), named ? id : null, null, null));
      } else {
        lines.add(new Line(whole, id, prompt, model));
      }
    }
    Collections.shuffle(lines, random);
    return lines;
  }

  /** The same with only ASCII characters, as Python writes it. */
  private static String escaped(ObjectNode line) {
    StringBuilder out = new StringBuilder();
    for (char c : line.toString().toCharArray()) {
      if (c < 128) out.append(c);
      else out.append("\\u%04x".formatted((int) c));
    }
    return out.toString();
  }

  private static String text(Random random) {
    StringBuilder out = new StringBuilder("x");
    for (int i = random.nextInt(8); i >= 0; i--) out.append(PIECES[random.nextInt(PIECES.length)]);
    return out.toString();
  }

  private Path file(List<String> lines) throws IOException {
    Path input = Files.createTempDirectory(folder, "in");
    int half = lines.size() / 2;
    Files.write(input.resolve("a.jsonl"), lines.subList(0, half));
    Files.write(input.resolve("b.jsonl"), lines.subList(half, lines.size()));
    return input;
  }

  private static PromptTable open(Path input, String... pairs) throws IOException {
    List<String> all = new ArrayList<>(List.of(pairs));
    all.add("model=" + LocalSpark.model());
    all.add("input=" + input);
    all.add("input-format=openai-batch");
    Settings settings = LocalSpark.settings(all.toArray(new String[0]));
    return PromptTable.open(LocalSpark.spark(), JobConfig.of(settings, Instant.EPOCH));
  }

  private static List<Row> prepared(PromptTable table, ModelCard model) {
    Settings settings = LocalSpark.settings("model=m");
    JobConfig config = JobConfig.of(settings, Instant.EPOCH);
    PrepareTask task = new PrepareTask(table.reader(), config.rows(), model, 0);
    return table
        .rows()
        .mapPartitions(task, Encoders.row(PreparedRows.schema(table.kept())))
        .collectAsList();
  }

  private static ModelCard card(String template) {
    return new ModelCard("/m", "m", "f", "llama", template, "", "", 512, 1, 1, 0, 64, 8, 0);
  }

  /** Goal: no character of an id, a prompt or a model's name is lost on the way. */
  @Test
  void everyLineIsARowWithItsTexts() throws IOException {
    System.out.println("everyLineIsARowWithItsTexts: seed " + SEED);
    List<Line> lines = lines(new Random(SEED), 300);
    Path input = file(lines.stream().map(Line::text).toList());
    Map<String, Line> expected = new HashMap<>();
    for (Line line : lines) if (line.id != null) expected.put(line.id, line);
    long nameless = lines.size() - expected.size();
    assertThat(nameless).isPositive();
    int broken = 0;
    for (Row row : prepared(open(input), card("{{ messages[0]['content'] }}"))) {
      Prepared p = PreparedRows.read(row, 2);
      if (p.id() == null) nameless--;
      Line line = expected.remove(p.id());
      if (p.id() == null || line.prompt == null) {
        broken++;
        assertThat(p.error().code()).isEqualTo(ErrorCode.BAD_INPUT);
        assertThat(p.error().getMessage()).startsWith("the line: expected one JSON object, got");
        continue;
      }
      assertThat(p.error()).as(line.text).isNull();
      assertThat(new String(p.prompt(), StandardCharsets.UTF_8)).isEqualTo(line.prompt);
      assertThat(row.getString(1)).isEqualTo(line.model);
      assertThat(p.params()).contains("\"temperature\":0.1");
    }
    assertThat(nameless).isZero();
    assertThat(broken).isEqualTo(lines.stream().filter(l -> l.prompt == null).count());
    assertThat(expected).isEmpty();
  }

  /** Goal: run and export give each line one answer or error with its id, whatever its samples. */
  @Test
  void everyLineHasOneAnswerOrError() throws IOException {
    System.out.println("everyLineHasOneAnswerOrError: seed " + SEED);
    List<Line> lines = lines(new Random(SEED + 1), 48);
    Path input = file(lines.stream().map(Line::text).toList());
    String[] options = {"input-format=openai-batch", "partitions=3", "seed=1"};
    String first = LocalSpark.run(input, folder, options).inputFiles()[0];
    Path output = Path.of(java.net.URI.create(first)).getParent();
    OpenAiExport.Written written = OpenAiExport.of(LocalSpark.spark(), output + "", null);
    assertThat(written.completed() + written.failed()).isEqualTo(lines.size());
    Map<String, Integer> found = new TreeMap<>();
    for (String kind : List.of("output", "errors")) {
      try (Stream<Path> files = Files.list(output.resolve("_openai").resolve(kind))) {
        for (Path file : files.filter(f -> f.toString().endsWith(".jsonl")).toList()) {
          for (String line : Files.readString(file).split("\n")) {
            JsonNode json = JSON.readTree(line);
            found.merge(json.get("custom_id").toString(), 1, Integer::sum);
            assertThat(json.get("response").isNull()).isEqualTo(kind.equals("errors"));
          }
        }
      }
    }
    Map<String, Integer> expected = new TreeMap<>();
    for (Line line : lines) {
      expected.merge(JSON.valueToTree(line.id).toString(), 1, Integer::sum);
    }
    assertThat(found).isEqualTo(expected);
  }

  /** Goal: lines that are JSON of another kind, or no text at all, say so and stop nothing. */
  @Test
  void linesOfOtherKinds() throws IOException {
    String good =
        "{\"custom_id\": 7, \"method\": \"POST\", \"url\": \"/v1/completions\","
            + " \"body\": {\"prompt\": \"a\", \"frequency\": 1}}";
    Path input = Files.createDirectory(folder.resolve("kinds"));
    byte[] cut = {'{', '"', 'c', 'u', 's', 't', '"', ':', '"', (byte) 0xc3, '(', '"', '}', '\n'};
    Files.write(input.resolve("a.jsonl"), cut);
    Files.write(
        input.resolve("b.jsonl"), List.of("5", "[" + good + "]", " ", "{", good + good, good));
    List<String> messages = new ArrayList<>();
    for (Row row : prepared(open(input), card(null))) {
      Prepared p = PreparedRows.read(row, 2);
      messages.add(p.id() + " " + p.error().code() + " " + p.error().getMessage());
    }
    String expected = " BAD_INPUT the line: expected one JSON object, got ";
    assertThat(messages.stream().filter(m -> m.endsWith("JSON of another kind"))).hasSize(2);
    assertThat(messages)
        .contains(
            "null" + expected + "other text from character 1 of 1 on",
            "7" + expected + "more behind it",
            "null BAD_INPUT column value of the line: not valid UTF-8",
            "7 UNSUPPORTED_PARAM frequency: unknown parameter; remove it or set"
                + " --unknown-params=ignore")
        .hasSize(6);
  }

  /** Goal: chats need a template, raw prompts of the same file do not. */
  @Test
  void onlyChatsNeedATemplate() throws IOException {
    String line = "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"/v1/%s\",\"body\":{%s}}";
    String chat = "\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]";
    Path input =
        file(
            List.of(
                line.formatted("chat", "chat/completions", chat),
                line.formatted("raw", "completions", "\"prompt\": \"a\"")));
    Map<String, String> found = new TreeMap<>();
    for (Row row : prepared(open(input), card(null))) {
      Prepared p = PreparedRows.read(row, 2);
      found.put(p.id(), p.error() == null ? "ok" : p.error().code() + "");
    }
    assertThat(found).isEqualTo(Map.of("chat", "TEMPLATE_ERROR", "raw", "ok"));
    String template = "{{ messages[0]['role'] }}:{{ messages[0]['content'] }}";
    Map<String, String> prompts = new TreeMap<>();
    for (Row row : prepared(open(input, "system-prompt=short"), card(template))) {
      Prepared p = PreparedRows.read(row, 2);
      prompts.put(p.id(), new String(p.prompt(), StandardCharsets.UTF_8));
    }
    assertThat(prompts).isEqualTo(Map.of("chat", "system:short", "raw", "a"));
  }

  /** Goal: a row's word whether its prompt is raw counts more than the job's. */
  @Test
  void rowsSayWhetherTheirPromptIsRaw() {
    List<String> raw = new ArrayList<>();
    FakeModel model =
        new FakeModel(waiting -> 0, -1) {
          @Override
          public int[] encodeRaw(String prompt) {
            raw.add(prompt);
            return encode(prompt);
          }
        };
    PartitionRuns runs = new PartitionRuns();
    List<Row> rows =
        List.of(
            runs.row("yes", "said yes", Map.of(RowParams.SPECIAL_TOKENS, true)),
            runs.row("no", "said no", Map.of(RowParams.SPECIAL_TOKENS, "false")),
            runs.row("job", "said nothing", Map.of()));
    List<Row> out = runs.run(PartitionRuns.sorted(rows).iterator(), model, Dedup.AUTO);
    assertThat(out).hasSize(3).allMatch(r -> r.isNullAt(PartitionRuns.ERROR));
    assertThat(raw).containsExactlyInAnyOrder("said yes", "said nothing");
    assertThat(RowParams.raw(Map.of(), RawPrompts.RENDERED)).isFalse();
  }
}
