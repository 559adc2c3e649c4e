package io.shadowbatch.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.spark.LocalSpark;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ShadowBatchTest {

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

  private String prompts() {
    Path path = folder.resolve("prompts");
    if (!path.toFile().exists()) {
      LocalSpark.spark()
          .sql("select id, if(id % 4 = 0, '', concat('number ', id)) as prompt from range(20)")
          .write()
          .parquet(path.toString());
    }
    return path.toString();
  }

  /** Goal: a run prints its summary for people and one JSON line, and ends by the error rate. */
  @Test
  void runEndsWithTheErrorBudget() throws IOException {
    String model = LocalSpark.model().toString();
    String[] run = {
      "run",
      "--model",
      model,
      "--input",
      prompts(),
      "--max-tokens",
      "2",
      "--log-format",
      "json",
      "--output",
      folder + "/a",
      "--max-error-rate",
      "0.5",
      "--device-memory",
      "16m"
    };
    assertThat(execute(run)).isZero();
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("20 (15 ok, 5 errors)");
    var line = new ObjectMapper().readTree(out.toString(StandardCharsets.UTF_8));
    assertThat(line.get("rows").asInt()).isEqualTo(20);
    assertThat(execute(run)).isZero();
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("20 of 20 rows are in the output");
    run[12] = "0.1";
    assertThat(execute(run)).as("errors of earlier runs count").isEqualTo(5);
    String[] fail = Arrays.copyOf(run, run.length + 2);
    fail[run.length] = "--on-existing";
    fail[run.length + 1] = "fail";
    assertThat(execute(fail)).isEqualTo(7);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("set --on-existing resume");
    run[10] = folder + "/b";
    run[12] = "0.1";
    assertThat(execute(run)).isEqualTo(5);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("25.0 %");
  }

  /** Goal: each kind of mistake has its exit code and one line of text, no stack trace. */
  @Test
  void exitCodes() throws IOException {
    String model = LocalSpark.model().toString();
    assertThat(execute()).isEqualTo(2);
    assertThat(execute("fly")).isEqualTo(2);
    assertThat(execute("run", "--modl", "x")).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("--model");
    assertThat(execute("run", "--max-tokens", "x", "--model", model)).isEqualTo(2);
    assertThat(execute("run", "--input", "x", "--output", "y")).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("--model is missing");
    assertThat(execute("run", "--model", model, "--output", folder + "/c")).isEqualTo(2);
    assertThat(execute("run", "--model", model, "--input", "/nowhere", "--output", folder + "/c"))
        .isEqualTo(3);
    String output = folder + "/c";
    assertThat(execute("run", "--model", "/no.gguf", "--input", prompts(), "--output", output))
        .isEqualTo(4);
    assertThat(execute("run", "--model", model, "--backend", "cuda", "--kv-codec", "int8"))
        .isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).doesNotContain("\tat ");
  }

  /** Goal: plan and validate look at everything without running the model. */
  @Test
  void planAndValidate() throws IOException {
    String model = LocalSpark.model().toString();
    assertThat(execute("plan", "--model", model, "--input", prompts())).isZero();
    var plan = new ObjectMapper().readTree(out.toString(StandardCharsets.UTF_8));
    assertThat(plan.get("rows").asInt()).isEqualTo(20);
    assertThat(plan.get("errors").get("EMPTY_PROMPT").asInt()).isEqualTo(5);
    assertThat(plan.get("context_tokens").asInt()).isEqualTo(512);
    assertThat(plan.get("prompt_tokens").asInt()).isPositive();
    assertThat(plan.get("memory_fit").asText()).isEqualTo("yes");
    assertThat(execute("validate", "--model", model, "--input", prompts())).isEqualTo(3);
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("\"EMPTY_PROMPT\":5");
  }

  /** Goal: help and the table of options need nothing. */
  @Test
  void helpAndOptions() {
    assertThat(execute("--help")).isZero();
    assertThat(execute("run", "--help")).isZero();
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("--on-long-prompt");
    assertThat(execute("options")).isZero();
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("| `--kv-mode` |");
  }
}
