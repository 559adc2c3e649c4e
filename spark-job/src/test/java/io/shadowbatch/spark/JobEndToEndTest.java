package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The job jar through the launcher on real Spark processes. */
@Timeout(420)
class JobEndToEndTest {

  private static final Duration LIMIT = Duration.ofSeconds(240);
  private static final Path REAL_MODEL =
      ModelFiles.folder().resolve("SmolLM2-135M-Instruct.Q4_1.gguf");

  @TempDir Path folder;

  private Processes processes;

  @BeforeEach
  void open() {
    processes = new Processes(folder);
  }

  @AfterEach
  void close() throws Exception {
    processes.close();
  }

  /** Goal: two executor processes give the answers that one process gives. */
  @Test
  void localClusterEqualsLocal() throws Exception {
    Path input = prompts(40);
    Map<String, String> expected = answers(LocalSpark.run(input, folder, options(24)));
    Path output = folder.resolve("cluster");
    List<String> args = arguments(input, output, 24, "--master", "local-cluster[2,1,700]");
    args.addAll(List.of("--conf", "spark.executor.memory=600m", "--partitions", "5"));
    Process job = processes.launch("job", args.toArray(new String[0]));
    processes.expect(0, job, "job", LIMIT);
    assertThat(answers(read(output))).isEqualTo(expected).hasSize(40);
    assertThat(processes.log("job")).content().contains("40 (40 ok, 0 errors)");
  }

  /** Goal: a standalone cluster that loses an executor in the middle writes every row once. */
  @Test
  void standaloneSurvivesTheLossOfAnExecutor() throws Exception {
    Path input = prompts(96);
    Map<String, String> expected = answers(LocalSpark.run(input, folder, options(400)));
    String master = processes.master();
    List<Process> workers = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      workers.add(processes.worker("worker" + i, master, List.of(), 1, "1g"));
    }
    Path output = folder.resolve("standalone");
    List<String> args = arguments(input, output, 400, "--master", master);
    args.addAll(
        List.of("--conf", "spark.executor.memory=600m", "--conf", "spark.executor.cores=1"));
    args.addAll(List.of("--partitions", "12"));
    Process job = processes.launch("job", args.toArray(new String[0]));
    long killed = killExecutorOnceRowsAreWritten(output, workers, job);
    processes.expect(0, job, "job", LIMIT);
    assertThat(killed).as("process id of the executor that was killed").isPositive();
    Dataset<Row> rows = read(output);
    assertThat(rows.count()).isEqualTo(96);
    assertThat(answers(rows)).isEqualTo(expected);
    assertThat(output.resolve("_SUCCESS")).exists();
    assertThat(output.resolve("_shadowbatch/manifest.json")).content().contains("\"rows\" : 96");
    long fresh = rows.selectExpr("sum(usage.completion_tokens)").first().getLong(0);
    assertThat(processes.log("job"))
        .content()
        .contains("new tokens           %,d (".formatted(fresh));
  }

  /** Goal: the demo answers its prompts, and other partitions give the same bits. */
  @Test
  void demoWithTheDefaultModel() throws Exception {
    assumeTrue(
        Files.exists(REAL_MODEL), "the default model is not there: run `shadowbatch demo` once");
    Process demo = processes.launch("demo", "demo");
    processes.expect(0, demo, "demo", LIMIT);
    assertThat(processes.log("demo"))
        .content()
        .contains("Some of the answers:", "128 (128 ok, 0 errors)");
    Path target = Path.of("target", "demo").toAbsolutePath();
    Dataset<Row> rows = read(target.resolve("completions"));
    assertThat(rows.select("document").distinct().count()).isGreaterThanOrEqualTo(8);
    Map<String, String> expected = answers(rows);
    assertThat(expected).hasSize(128);
    assertUsage(rows);
    Path output = folder.resolve("again");
    Process again =
        processes.launch(
            "again",
            "run",
            "--model",
            REAL_MODEL.toString(),
            "--input",
            target + "/prompts",
            "--output",
            output.toString(),
            "--max-tokens",
            "48",
            "--partitions",
            "5",
            "--prefix-plan",
            "off");
    processes.expect(0, again, "again", LIMIT);
    assertThat(answers(read(output))).isEqualTo(expected);
  }

  private static void assertUsage(Dataset<Row> rows) {
    long reused = 0;
    long prompts = 0;
    for (Row r : rows.collectAsList()) {
      Row usage = r.getAs("usage");
      reused += usage.<Long>getAs("cached_tokens");
      prompts += usage.<Long>getAs("prompt_tokens");
      assertThat(r.<String>getAs("finish_reason")).isIn("stop", "length");
      assertThat(r.<Row>getAs("timing").<Double>getAs("total_ms")).isPositive();
    }
    assertThat((double) reused / prompts).as("share of reused prompt tokens").isGreaterThan(0.8);
  }

  private Path prompts(int count) {
    Path input = folder.resolve("prompts" + count);
    LocalSpark.spark()
        .sql(
            "select cast(id as string) as id, array(named_struct('role', 'user', 'content',"
                + " concat(repeat(concat('part ', id % 8, ' '), 9), 'ask ', id))) as messages"
                + " from range("
                + count
                + ")")
        .repartition(2)
        .write()
        .parquet(input.toString());
    return input;
  }

  private static String[] options(int maxTokens) {
    return new String[] {"max-tokens=" + maxTokens, "ignore-eos=true", "temperature=0.8"};
  }

  private static List<String> arguments(
      Path input, Path output, int maxTokens, String... sparkOptions) throws IOException {
    List<String> args = new ArrayList<>(List.of("run"));
    args.addAll(List.of(sparkOptions));
    args.addAll(
        List.of(
            "--conf",
            "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1",
            "--conf",
            "spark.executor.extraJavaOptions=-XX:TieredStopAtLevel=1",
            "--conf",
            "spark.shadowbatch.sampling.temperature=0.8",
            "--driver-memory",
            "600m",
            "--model",
            LocalSpark.model().toString(),
            "--input",
            input.toString(),
            "--output",
            output.toString(),
            "--max-tokens",
            "" + maxTokens,
            "--ignore-eos",
            "true",
            "--device-memory",
            "16m",
            "--batch-tokens",
            "64"));
    return args;
  }

  private static Dataset<Row> read(Path output) {
    return LocalSpark.spark().read().parquet(output.toString());
  }

  private static Map<String, String> answers(Dataset<Row> rows) {
    Map<String, String> answers = new TreeMap<>();
    for (Row r : rows.collectAsList()) {
      String answer = r.getList(r.fieldIndex("token_ids")) + " " + r.getAs("completion");
      assertThat(answers.put(r.getAs("request_id"), answer)).as("written twice").isNull();
    }
    return answers;
  }

  /** Waits for the first file of a task, then kills one executor; its process id. */
  private static long killExecutorOnceRowsAreWritten(
      Path output, List<Process> workers, Process job) throws Exception {
    long end = System.nanoTime() + LIMIT.toNanos();
    while (System.nanoTime() < end && job.isAlive()) {
      if (hasPart(output)) {
        for (Process worker : workers) {
          for (ProcessHandle child : worker.descendants().toList()) {
            if (child.info().command().orElse("").endsWith("java") && child.destroyForcibly()) {
              return child.pid();
            }
          }
        }
      }
      Thread.sleep(50);
    }
    return -1;
  }

  private static boolean hasPart(Path output) {
    try (Stream<Path> files = Files.list(output)) {
      return files.anyMatch(f -> f.getFileName().toString().startsWith("part-"));
    } catch (IOException e) {
      return false; // not there yet
    }
  }
}
