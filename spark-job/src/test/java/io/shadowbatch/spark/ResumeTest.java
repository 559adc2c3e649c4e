package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The same command again: after a failure, after the end, and after something changed. */
@Timeout(300)
class ResumeTest {
  /** Some rows are equal in all columns, some in their prompts only. */
  private static final String ROWS =
      "select cast(id % 90 as string) as request_id, map('part', id % 90) as note,"
          + " concat('prompt ', id % 70 % 45) as prompt from range(120)";

  /** Requests asked of all models, and how many are let through until tasks fail. */
  private static final AtomicInteger ASKED = new AtomicInteger();

  private static final AtomicInteger LEFT = new AtomicInteger();

  @TempDir Path folder;
  private Path output;

  @BeforeEach
  void input() {
    LocalSpark.spark().sql(ROWS).repartition(3).write().parquet(folder + "/in");
    output = folder.resolve("out");
    LEFT.set(Integer.MAX_VALUE);
    ASKED.set(0);
  }

  private static CompletionSource open(ModelCard model, EngineChoice choice) {
    return new CountedSource(new FakeModel(l -> l.size() / 2, -1), ASKED, LEFT);
  }

  private RunSummary run(String... more) throws IOException {
    List<String> pairs = new ArrayList<>();
    pairs.addAll(List.of("model=" + LocalSpark.model(), "input=" + folder + "/in"));
    pairs.addAll(List.of("output=" + output, "partitions=3", "chunk-rows=7", "n=2"));
    pairs.addAll(List.of(more));
    Settings settings = LocalSpark.settings(pairs.toArray(new String[0]));
    return new ShadowBatchJob(
            LocalSpark.spark(), settings, Instant.now(), LocalSpark.quiet(), ResumeTest::open)
        .run();
  }

  private Map<String, Integer> rows() {
    Map<String, Integer> rows = new TreeMap<>();
    for (Row r : LocalSpark.spark().read().parquet(output.toString()).collectAsList()) {
      String name =
          r.getAs("request_id") + "/" + r.getAs("sample_index") + " " + r.getAs("completion");
      rows.merge(name, 1, Integer::sum);
    }
    return rows;
  }

  private long files() throws IOException {
    try (Stream<Path> files = Files.list(output)) {
      return files.filter(f -> f.getFileName().toString().startsWith("part-")).count();
    }
  }

  /** Goal: after failures anywhere the same command ends with the rows of a run without any. */
  @Test
  void theSameCommandFinishesTheJob() throws IOException {
    run("dedup=off");
    Map<String, Integer> expected = rows();
    assertThat(expected.values().stream().mapToInt(n -> n).sum()).isEqualTo(240);
    assertThat(ASKED.get()).isEqualTo(240);
    output = folder.resolve("killed");
    ASKED.set(0);
    int runs = 0;
    for (int after : new int[] {3, 20, 11, -1}) {
      LEFT.set(after < 0 ? Integer.MAX_VALUE : 70 + after);
      runs++;
      if (after >= 0) {
        assertThatThrownBy(() -> run("dedup=off")).hasMessageContaining("none is let through");
        assertThat(output.resolve("_SUCCESS")).doesNotExist();
      } else {
        RunSummary last = run("dedup=off");
        assertThat(last.before().rows() + last.rows()).isEqualTo(240);
        assertThat(last.before().rows()).isPositive();
      }
    }
    assertThat(rows()).isEqualTo(expected);
    assertThat(output.resolve("_SUCCESS")).exists();
    // What was finished was committed: only what an attempt held at once is asked again.
    assertThat(ASKED.get()).isLessThanOrEqualTo(240 + 3 * 3 * 64);
    try (Stream<Path> all = Files.list(output.resolve("_shadowbatch/runs"))) {
      assertThat(all).hasSize(runs);
    }
    JsonNode manifest =
        new ObjectMapper().readTree(output.resolve("_shadowbatch/manifest.json").toFile());
    assertThat(manifest.get("rows").asInt()).isEqualTo(240);
    assertThat(manifest.get("runs")).hasSize(runs);
    assertThat(output.resolve("_shadowbatch/staging").toFile().list()).isEmpty();
  }

  /** Goal: a job that is done computes nothing and changes no file. */
  @Test
  void aFinishedJobIsFinished() throws IOException {
    run();
    long files = files();
    ASKED.set(0);
    RunSummary again = run();
    assertThat(ASKED.get()).isZero();
    assertThat(again.rows()).isZero();
    assertThat(again.before().rows()).isEqualTo(240);
    assertThat(files()).isEqualTo(files);
    assertThat(output.resolve("_SUCCESS")).exists();
  }

  /** Goal: rows that were added to the input are computed, and only they. */
  @Test
  void newRowsAreAdded() throws IOException {
    run("dedup=off");
    ASKED.set(0);
    LocalSpark.spark()
        .sql("select 'new' as request_id, map('part', 1L) as note, 'new prompt' as prompt")
        .write()
        .mode("append")
        .parquet(folder + "/in");
    assertThat(run("dedup=off").rows()).isEqualTo(2);
    assertThat(ASKED.get()).isEqualTo(2);
    assertThat(rows().values().stream().mapToInt(n -> n).sum()).isEqualTo(242);
  }

  /** Goal: what would mix answers of two kinds is refused by name, and nothing is lost. */
  @Test
  void anotherCommandIsRefused() throws IOException {
    run();
    Map<String, Integer> before = rows();
    for (String other : List.of("seed=9", "max-tokens=5", "kv-codec=fp16", "backend=reference")) {
      String option = "--" + other.substring(0, other.indexOf('='));
      assertThatThrownBy(() -> run(other))
          .isInstanceOfSatisfying(
              JobException.class, e -> assertThat(e.exit()).isEqualTo(Exit.OUTPUT))
          .hasMessageContaining(option.equals("--max-tokens") ? "sampling options" : option)
          .hasMessageContaining("--on-existing overwrite");
    }
    assertThatThrownBy(() -> run("keep-cols=prompt")).hasMessageContaining("begun with columns");
    LocalSpark.spark().sql(ROWS + " limit 50").write().mode("overwrite").parquet(folder + "/in");
    assertThatThrownBy(this::run).hasMessageContaining("does not ask for");
    assertThat(rows()).isEqualTo(before);
    run("on-existing=overwrite", "seed=9");
    assertThat(rows().values().stream().mapToInt(n -> n).sum()).isEqualTo(100);
  }

  /** Goal: answers of another output are copied where the same is asked, and nothing else is. */
  @Test
  void anotherJobsAnswersAreCopied() throws IOException {
    run("on-existing=fail", "limit=80", "logprobs=1");
    String first = output.toString();
    output = folder.resolve("plain");
    run("logprobs=1");
    Map<String, Integer> expected = rows();
    long each = LocalSpark.spark().read().parquet(first).select("request_key").distinct().count();
    output = folder.resolve("second");
    ASKED.set(0);
    RunSummary second = run("reuse=" + first, "dedup=off", "keep-cols=prompt", "logprobs=1");
    assertThat(rows()).isEqualTo(expected);
    var copied = LocalSpark.spark().read().parquet(output.toString()).where("meta.copied");
    assertThat(copied.count()).isEqualTo(second.counts().get(Tally.COPIED_ROWS)).isPositive();
    assertThat(copied.select("request_key").distinct().count()).isEqualTo(each);
    assertThat(ASKED.get() + copied.count()).isEqualTo(240);
    assertThat(copied.where("meta.run_id <> '" + second.runId() + "'").count()).isZero();
    assertThatThrownBy(() -> run("on-existing=overwrite", "reuse=" + first, "seed=4"))
        .hasMessageContaining("--reuse")
        .hasMessageContaining("--seed");
    assertThatThrownBy(() -> run("reuse=" + folder.resolve("in")))
        .hasMessageContaining("no output of a job");
    assertThat(rows()).as("what was refused changed nothing").isEqualTo(expected);
  }

  /** Goal: budgets and deadlines stop a run with what it has; the next goes on from there. */
  @Test
  void aStoppedRunIsResumed() throws IOException {
    for (String rule : List.of("token-budget=1", "deadline=0s", "max-errors=1")) {
      output = folder.resolve(rule);
      RunSummary stopped = null;
      try {
        stopped = run(rule);
      } catch (JobException e) {
        assertThat(e.exit()).isIn(Exit.STOPPED, Exit.ERROR_BUDGET);
      }
      boolean whole = stopped != null && stopped.stopReason() == null;
      assertThat(output.resolve("_SUCCESS").toFile().exists()).isEqualTo(whole);
      if (rule.startsWith("deadline")) assertThat(whole).isFalse();
      run();
      assertThat(rows().values().stream().mapToInt(n -> n).sum()).as(rule).isEqualTo(240);
      assertThat(output.resolve("_SUCCESS")).exists();
    }
  }
}
