package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * The job on a standalone cluster whose worker offers two GPUs: Spark hands them out, executors
 * open the stand-in's device of that number.
 */
@Timeout(420)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class GpuEndToEndTest {
  private static final Duration LIMIT = Duration.ofSeconds(240);
  private static final Path STAND_IN =
      Path.of("..", "executor-native", "target", "stand-in", "libcuda.so.1");
  private static final Path DISCOVERY = Path.of("bin", "gpu-discovery");

  @TempDir Path folder;

  private Processes processes;

  @BeforeEach
  void open() {
    boolean there = Files.exists(STAND_IN);
    if (!there) System.out.println("skipped: " + STAND_IN + " is absent");
    assumeTrue(there, STAND_IN + " is absent");
    processes = new Processes(folder);
  }

  @AfterEach
  void close() throws Exception {
    if (processes != null) processes.close();
  }

  @Test
  @Order(1)
  void everyExecutorComputesOnTheGpuThatSparkGaveIt() throws Exception {
    Path output = folder.resolve("gpus");
    Process job = start(output, 24, "--conf", "spark.executorEnv.SBEMU_DEVICES=2");
    processes.expect(0, job, "job", LIMIT);
    assertAnswered(output, 24);
    assertThat(executorLogs()).contains("backend cuda:0").contains("backend cuda:1");
  }

  /**
   * Each executor's device is lost after some launches: more than a task needs, once the costs of
   * steps are known, which the test before this one sees to.
   */
  @Test
  @Order(2)
  void executorsWhoseGpuIsLostAreReplaced() throws Exception {
    Path output = folder.resolve("lost");
    Process job =
        start(
            output,
            24,
            "--conf",
            "spark.executorEnv.SBEMU_DEVICES=2",
            "--conf",
            "spark.executorEnv.SBEMU_FAIL=launch:400",
            "--conf",
            "spark.task.maxFailures=8");
    processes.expect(0, job, "job", LIMIT);
    assertAnswered(output, 24);
    assertThat(executorLogs()).contains("was lost: this executor ends");
  }

  @Test
  void aClusterWithoutGpusIsRefusedBeforeItComputes() throws Exception {
    String master = processes.master();
    processes.worker("worker", master, List.of(), 2, "2g");
    Path output = folder.resolve("none");
    Process job =
        processes.launch("job", arguments(output, 4, "--master", master).toArray(new String[0]));
    processes.expect(8, job, "job", LIMIT);
    assertThat(processes.log("job"))
        .content()
        .contains("Spark assigns no GPU (spark.executor.resource.gpu.amount is not set)");
    assertThat(output).doesNotExist();
  }

  private Process start(Path output, int rows, String... conf) throws Exception {
    String master = processes.master();
    List<String> gpus =
        List.of(
            "-Dspark.worker.resource.gpu.amount=2",
            "-Dspark.worker.resource.gpu.discoveryScript=" + discovery());
    processes.worker("worker", master, gpus, 2, "2g");
    List<String> args = arguments(output, rows, "--master", master);
    args.addAll(
        List.of(
            "--conf",
            "spark.executor.resource.gpu.amount=1",
            "--conf",
            "spark.task.resource.gpu.amount=1",
            "--conf",
            "spark.executor.cores=1",
            "--conf",
            "spark.executor.memory=600m",
            "--conf",
            "spark.log.level=INFO",
            "--conf",
            "spark.executor.syncLogLevel.enabled=true",
            "--partitions",
            "6"));
    args.addAll(List.of(conf));
    return processes.launch("job", args.toArray(new String[0]));
  }

  /** The product's script over a program that says what nvidia-smi says of two devices. */
  private Path discovery() throws IOException {
    Path bin = Files.createDirectories(folder.resolve("bin"));
    Path smi = Files.writeString(bin.resolve("nvidia-smi"), "#!/bin/sh\nprintf '0\\n1\\n'\n");
    String script = "#!/bin/sh\nPATH=%s:$PATH exec %s\n".formatted(bin, DISCOVERY.toAbsolutePath());
    Path discovery = Files.writeString(bin.resolve("discovery"), script);
    assertThat(smi.toFile().setExecutable(true)).isTrue();
    assertThat(discovery.toFile().setExecutable(true)).isTrue();
    return discovery;
  }

  private List<String> arguments(Path output, int rows, String... sparkOptions) throws IOException {
    Path input = folder.resolve("prompts");
    LocalSpark.spark()
        .sql(
            "select cast(id as string) as id, concat('ask part ', id % 5, ' of ', id) as prompt"
                + " from range("
                + rows
                + ")")
        .repartition(2)
        .write()
        .parquet(input.toString());
    List<String> args = new ArrayList<>(List.of("run"));
    args.addAll(List.of(sparkOptions));
    args.addAll(
        List.of(
            "--conf",
            "spark.executor.extraJavaOptions=-Dshadowbatch.cuda.library="
                + STAND_IN.toAbsolutePath().normalize(),
            "--driver-memory",
            "600m",
            "--backend",
            "cuda",
            "--model",
            LocalSpark.model().toString(),
            "--input",
            input.toString(),
            "--output",
            output.toString(),
            "--max-tokens",
            "6",
            "--device-memory",
            "16m",
            "--batch-tokens",
            "64"));
    return args;
  }

  private static void assertAnswered(Path output, int rows) {
    Dataset<Row> table = LocalSpark.spark().read().parquet(output.toString());
    assertThat(table.count()).isEqualTo(rows);
    assertThat(table.select("request_id").distinct().count()).isEqualTo(rows);
    assertThat(table.filter("status = 'ok'").count()).isEqualTo(rows);
    assertThat(output.resolve("_SUCCESS")).exists();
  }

  private String executorLogs() throws IOException {
    StringBuilder all = new StringBuilder();
    try (Stream<Path> files = Files.walk(folder.resolve("worker"))) {
      for (Path log : files.filter(f -> f.endsWith("stderr")).toList()) {
        all.append(Files.readString(log));
      }
    }
    return all.toString();
  }
}
