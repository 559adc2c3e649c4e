package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.golden.RealModels;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The default model's float32 references, continued by the whole job. */
class GoldenJobTest {

  private static final ObjectMapper JSON = new ObjectMapper();

  /** Where the reference's two best tokens are at least so far apart, the job must choose alike. */
  private static final double GAP_MAX = 0.5;

  @TempDir Path folder;

  /** Goal: prompts become the reference's tokens, and answers part from it at near-ties only. */
  @Test
  void continuationsThroughTheJobPartAtNearTiesOnly() throws IOException {
    Path model = RealModels.find(RealModels.SMOLLM2);
    Map<String, Row> answers = answers(model);
    int equal = 0;
    double widest = 0;
    List<JsonNode> references = lines("smollm2-135m.jsonl");
    for (JsonNode reference : references) {
      String id = reference.get("id").asText();
      Row answer = answers.get(id);
      assertThat(answer.<Row>getAs("usage").<Long>getAs("prompt_tokens"))
          .as("prompt tokens of %s", id)
          .isEqualTo(reference.get("ids").size());
      List<Integer> tokens = answer.getList(answer.fieldIndex("token_ids"));
      double gap = gapAtFirstDifference(tokens, reference.get("greedy"));
      equal += gap < 0 ? 1 : 0;
      widest = Math.max(widest, gap);
    }
    System.out.printf(
        "through the job: %d of %d continuations equal, widest gap at a first difference %.3f%n",
        equal, references.size(), widest);
    assertThat(answers).hasSize(references.size());
    assertThat(widest).isLessThan(GAP_MAX);
    assertThat(equal).isGreaterThanOrEqualTo(references.size() * 10 / 25);
  }

  /** The reference's gap between its two best tokens where the answer parts, or -1. */
  private static double gapAtFirstDifference(List<Integer> tokens, JsonNode greedy) {
    for (int i = 0; i < greedy.size(); i++) {
      boolean same = i < tokens.size() && tokens.get(i) == greedy.get(i).get(0).asInt();
      if (!same) return greedy.get(i).get(1).asDouble();
    }
    return -1;
  }

  /** Raw and chat prompts are two inputs, because a table has one kind. */
  private Map<String, Row> answers(Path model) throws IOException {
    Map<String, Row> answers = new HashMap<>();
    for (String kind : List.of("prompt", "messages")) {
      List<Row> rows =
          lines("prompts.jsonl").stream()
              .filter(p -> p.has(kind))
              .map(p -> RowFactory.create(p.get("id").asText(), text(p.get(kind))))
              .toList();
      StructType schema =
          new StructType().add("id", DataTypes.StringType).add(kind, DataTypes.StringType);
      Path input = folder.resolve(kind);
      LocalSpark.spark().createDataFrame(rows, schema).write().parquet(input.toString());
      Path output = folder.resolve(kind + "-out");
      Settings settings =
          LocalSpark.settings(
              "model=" + model, "input=" + input, "output=" + output, "max-tokens=48");
      new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet()).run();
      for (Row r : LocalSpark.spark().read().parquet(output.toString()).collectAsList()) {
        answers.put(r.getAs("request_id"), r);
      }
    }
    return answers;
  }

  private static String text(JsonNode value) {
    return value.isTextual() ? value.asText() : value.toString();
  }

  /** Reads a resource of the engine's tests, one JSON value a line. */
  private static List<JsonNode> lines(String name) throws IOException {
    try (InputStream in = RealModels.class.getResourceAsStream("/golden/" + name)) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      List<JsonNode> nodes = new ArrayList<>();
      for (String line : text.split("\n")) nodes.add(JSON.readTree(line));
      return nodes;
    }
  }
}
