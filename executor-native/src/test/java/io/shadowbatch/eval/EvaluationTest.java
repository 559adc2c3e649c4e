package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The whole command on a tiny random model: what must be so whatever the weights. */
@Timeout(240)
class EvaluationTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261123L);

  @TempDir Path folder;

  private Path model;

  @BeforeEach
  void write() throws IOException {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    model = EvalModel.write(folder, SEED);
  }

  /** JSON of each policy, the dense run's first, for each suite. */
  private Map<String, List<JsonNode>> run(String suites, String... more) throws IOException {
    Path json = folder.resolve("out.jsonl");
    List<String> args = new ArrayList<>(List.of("--model", model.toString(), "--suite", suites));
    args.addAll(List.of("--packs", folder.toString(), "--json", json.toString()));
    args.addAll(List.of(more));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Evaluation.run(args, new PrintStream(out, true, StandardCharsets.UTF_8));
    Map<String, List<JsonNode>> results = new LinkedHashMap<>();
    List<String> lines = Files.readAllLines(json);
    for (String line : lines) {
      JsonNode node = new ObjectMapper().readTree(line);
      results.computeIfAbsent(node.get("suite").asText(), s -> new ArrayList<>()).add(node);
    }
    String table = out.toString(StandardCharsets.UTF_8);
    assertThat(table).contains("seed ").contains(SuiteResult.HEADER);
    assertThat(table.lines().filter(l -> !l.startsWith("gate failed")).count())
        .isEqualTo(2 + lines.size());
    return results;
  }

  @Test
  void aPolicyThatEqualsDenseHasNoDistanceOnAnySuite() throws IOException {
    var results =
        run(
            String.join(",", Suite.names()),
            "--tokens",
            "700",
            "--limit",
            "2",
            "--policy",
            "full",
            "--policy",
            "int8");
    assertThat(results.keySet()).containsExactlyElementsOf(Suite.names());
    results.forEach(
        (suite, nodes) -> {
          for (JsonNode node : nodes.subList(1, 3)) {
            assertThat(node.get("scored_rows").asInt()).as(suite).isPositive();
            assertThat(node.get("scored_rows")).isEqualTo(nodes.get(0).get("rows"));
            assertThat(node.get("kl_mean").asDouble()).as(suite).isEqualTo(0.0);
            assertThat(node.get("kl_p99").asDouble()).as(suite).isEqualTo(0.0);
            assertThat(node.get("top1").asDouble()).as(suite).isEqualTo(1.0);
            assertThat(node.get("kv_ratio").asDouble()).as(suite).isEqualTo(1.0);
            assertThat(node.get("fields_right")).isEqualTo(nodes.get(0).get("fields_right"));
            assertThat(node.get("fields_named")).isEqualTo(nodes.get(0).get("fields_named"));
          }
        });
    assertThat(results.get("nat2k").get(1).get("scored_rows").asInt()).isEqualTo(2 * 64);
    assertThat(results.get("gen1k").get(1).get("scored_rows").asInt()).isEqualTo(2 * 1024);
    // 2 texts once, 32 questions of some tokens each
    int prompts = results.get("group4k").get(1).get("prompt_tokens_computed").asInt();
    assertThat(prompts).isBetween(2 * 700 + 32 * 10, 2 * 700 + 32 * 200);
  }

  @Test
  void otherFormsOfKeysAndValuesHaveSomeDistanceAndTheirOwnSize() throws IOException {
    List<JsonNode> nodes =
        run(
                "nat2k",
                "--tokens",
                "700",
                "--limit",
                "3",
                "--policy",
                "int4:group=32",
                "--policy",
                "int4:group=16",
                "--policy",
                "fp16",
                "--dense",
                "fp16")
            .get("nat2k");
    JsonNode coarse = nodes.get(1);
    JsonNode fine = nodes.get(2);
    assertThat(coarse.get("kl_mean").asDouble()).isPositive();
    assertThat(fine.get("kl_mean").asDouble()).isPositive();
    assertThat(coarse.get("kl_p99").asDouble()).isGreaterThan(coarse.get("kl_mean").asDouble());
    assertThat(nodes.get(3).get("kl_mean").asDouble()).isEqualTo(0.0);
    // 11 pages of 2 layers, keys and values of 2 heads of 32: 4 bits, and 32 for each group
    long elements = 11 * 64 * 2 * 2 * 64;
    assertThat(coarse.get("dev_bytes").asLong()).isEqualTo(elements * 5 / 8);
    assertThat(fine.get("dev_bytes").asLong()).isEqualTo(elements * 6 / 8);
    assertThat(coarse.get("host_bytes").asLong()).isZero();
    assertThat(coarse.get("host_read_bytes_per_row").asDouble()).isZero();
  }

  @Test
  void aShadowThatReadsEverythingEqualsDenseAndOneThatReadsLittleDoesNot() throws IOException {
    List<JsonNode> nodes =
        run(
                "nat2k",
                "--tokens",
                "700",
                "--limit",
                "2",
                "--policy",
                "shadow:budget=700,from=64",
                "--policy",
                "shadow:budget=64,outliers=2,from=64")
            .get("nat2k");
    assertThat(nodes.get(1).get("kl_mean").asDouble()).isEqualTo(0.0);
    assertThat(nodes.get(1).get("top1").asDouble()).isEqualTo(1.0);
    assertThat(nodes.get(2).get("kl_mean").asDouble()).isPositive();
    assertThat(nodes.get(2).get("host_bytes").asLong()).isPositive();
    assertThat(nodes.get(2).get("host_read_bytes_per_row").asDouble()).isPositive();
  }

  @Test
  void evictionWithinTheBudgetEqualsDenseAndBeyondItKeepsTheBudget() throws IOException {
    for (String rule : List.of("streaming", "h2o", "window")) {
      List<JsonNode> nodes =
          run(
                  "nat2k",
                  "--tokens",
                  "700",
                  "--limit",
                  "2",
                  "--policy",
                  rule + ":budget=576",
                  "--policy",
                  rule + ":budget=64")
              .get("nat2k");
      assertThat(nodes.get(1).get("kl_mean").asDouble()).as(rule).isEqualTo(0.0);
      assertThat(nodes.get(1).get("kv_ratio").asDouble()).as(rule).isEqualTo(1.0);
      assertThat(nodes.get(2).get("kl_mean").asDouble()).as(rule).isPositive();
      // A prompt of 636: 9 pages of which a page's worth is kept; 2 behind them.
      long page = nodes.get(0).get("dev_bytes").asLong() / 11;
      assertThat(nodes.get(2).get("dev_bytes").asLong()).as(rule).isEqualTo(3 * page);
    }
  }

  @Test
  void requestsOfAPolicyThatSharesNothingComputeTheirWholePrompts() throws IOException {
    List<JsonNode> nodes =
        run("turns4k", "--tokens", "300", "--limit", "1", "--policy", "streaming:budget=8000")
            .get("turns4k");
    assertThat(nodes.get(1).get("kl_mean").asDouble()).isEqualTo(0.0);
    int shared = nodes.get(0).get("prompt_tokens_computed").asInt();
    int alone = nodes.get(1).get("prompt_tokens_computed").asInt();
    assertThat(alone).isGreaterThan(5 * 300).isGreaterThan(shared);
  }

  @Test
  void aWrongCommandSaysWhatIsExpected() {
    assertThatThrownBy(() -> run("nat2k")).hasMessageContaining("--policy is needed");
    assertThatThrownBy(() -> run("nat3k", "--policy", "full"))
        .hasMessageContaining("got 'nat3k'")
        .hasMessageContaining("nat2k");
    assertThatThrownBy(() -> run("nat2k", "--policy", "int5"))
        .hasMessageContaining("got 'int5'")
        .hasMessageContaining("int4");
    assertThatThrownBy(() -> run("nat2k", "--policy", "int4:groups=32"))
        .hasMessageContaining("got 'groups'");
    assertThatThrownBy(() -> run("nat2k", "--policy", "int4:group=48"))
        .hasMessageContaining("group 48");
    assertThatThrownBy(() -> run("nat2k", "--policy", "full", "--tokens", "9000"))
        .hasMessageContaining("the model has 8192");
  }
}
