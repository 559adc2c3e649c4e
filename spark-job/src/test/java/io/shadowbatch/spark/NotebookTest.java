package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NotebookTest {

  @TempDir Path folder;

  /** Goal: every paragraph's SQL runs on output of the demo, and shows what its title says. */
  @Test
  void sqlRunsOnDemoOutput() throws IOException {
    // cut prompts keep their documents' heads, so that prefixes are shared as in the demo
    var output =
        LocalSpark.run(
            DemoPrompts.prompts(LocalSpark.spark()).where("question not like 'Translate%'"),
            folder,
            "max-tokens=3",
            "on-long-prompt=truncate_right",
            "max-model-len=96");
    assertThat(output.count()).isEqualTo(120);
    Path bad = folder.resolve("bad");
    LocalSpark.run(LocalSpark.spark().sql("select '' as prompt"), folder, "max-error-rate=1")
        .write()
        .parquet(bad.toString());
    Path all = folder.resolve("all");
    output
        .drop("document", "question")
        .unionByName(LocalSpark.spark().read().parquet(bad.toString()))
        .write()
        .parquet(all.toString());
    Map<String, List<Row>> results = run(Path.of("..", "notebooks", "run.zpln"), all);
    assertThat(results.get("paragraph_reasons")).isNotEmpty();
    Row tokens = results.get("paragraph_tokens").get(0);
    assertThat(tokens.<Long>getAs("n")).isEqualTo(121);
    assertThat(tokens.<Long>getAs("reused_tokens")).isPositive();
    assertThat(results.get("paragraph_speed")).hasSize(1);
    assertThat(results.get("paragraph_groups")).hasSize(8);
    assertThat(results.get("paragraph_errors").get(0).<String>getAs("code"))
        .isEqualTo("EMPTY_PROMPT");
  }

  /** Goal: every note is a file that Zeppelin can import. */
  @Test
  void notesAreWellFormed() throws IOException {
    try (Stream<Path> notes = Files.list(Path.of("..", "notebooks"))) {
      for (Path note : notes.filter(n -> n.toString().endsWith(".zpln")).toList()) {
        JsonNode root = new ObjectMapper().readTree(note.toFile());
        assertThat(root.get("name").asText()).startsWith("ShadowBatch/");
        for (JsonNode p : root.get("paragraphs")) {
          assertThat(p.get("text").asText()).matches("(?s)%(md|spark\\.sql)\n.+");
          assertThat(p.get("status").asText()).isEqualTo("READY");
          assertThat(p.has("results")).as("results are not kept").isFalse();
        }
      }
    }
  }

  private static Map<String, List<Row>> run(Path note, Path output) throws IOException {
    Map<String, List<Row>> results = new HashMap<>();
    for (JsonNode p : new ObjectMapper().readTree(note.toFile()).get("paragraphs")) {
      String text = p.get("text").asText();
      if (!text.startsWith("%spark.sql\n")) continue;
      String sql = text.substring("%spark.sql\n".length());
      sql = sql.replaceAll("\\$\\{out=[^}]*}", output.toString());
      results.put(p.get("id").asText(), LocalSpark.spark().sql(sql).collectAsList());
    }
    return results;
  }
}
