package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.resource.ResourceInformation;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How an executor comes to its GPU, and what is said where it cannot. */
class GpusTest {
  private static final String EXECUTOR = "spark.executor.resource.gpu.amount";
  private static final String TASK = "spark.task.resource.gpu.amount";

  @TempDir Path folder;

  private static Map<String, ResourceInformation> given(String... addresses) {
    return Map.of("gpu", new ResourceInformation("gpu", addresses));
  }

  private static void refused(ThrowingCallable call, String... parts) {
    assertThatThrownBy(call)
        .hasMessageContainingAll(parts)
        .isInstanceOfSatisfying(
            JobException.class, e -> assertThat(e.exit()).isEqualTo(Exit.RESOURCES));
  }

  @Test
  void theTaskUsesTheFirstDeviceThatSparkGaveIt() {
    assertThat(Gpus.device(given("3"))).isEqualTo(3);
    assertThat(Gpus.device(given("12", "0"))).isEqualTo(12);
    refused(() -> Gpus.device(Map.of()), EXECUTOR, TASK, "--backend cpu");
    refused(() -> Gpus.device(given()), EXECUTOR, TASK);
    refused(() -> Gpus.device(given("GPU-8c1f")), "'GPU-8c1f'", "gpu-discovery");
  }

  @Test
  void aSessionWithoutGpusIsRefusedBeforeItRuns() {
    SparkConf conf = new SparkConf(false);
    refused(() -> Gpus.requireRequested(conf), EXECUTOR + " is not set");
    conf.set(EXECUTOR, "1");
    refused(() -> Gpus.requireRequested(conf), TASK + " is not set");
    conf.set(TASK, "0.25");
    Gpus.requireRequested(conf);
  }

  @Test
  void withALocalMasterItIsTheFirstDeviceAndOtherBackendsHaveNone() {
    EngineChoice cuda =
        JobConfig.of(LocalSpark.settings("model=m", "backend=cuda"), Instant.EPOCH).engine();
    assertThat(Gpus.ofThisTask(cuda).backend()).isEqualTo("cuda");
    EngineChoice cpu = cuda.withBackend("cpu");
    assertThat(Gpus.ofThisTask(cpu)).isSameAs(cpu);
  }

  @Test
  void aMissingDriverIsAnErrorForTheUserAndOtherErrorsStayWhatTheyAre() {
    EngineChoice cuda =
        JobConfig.of(LocalSpark.settings("model=m", "backend=cuda"), Instant.EPOCH).engine();
    Throwable missing = new UnsatisfiedLinkError("no NVIDIA driver: libcuda.so.1");
    refused(
        () -> {
          throw Gpus.unusable(cuda.withBackend("cuda:2"), missing);
        },
        "--backend cuda:2: no NVIDIA driver");
    RuntimeException other = new IllegalStateException("closed");
    assertThat(Gpus.unusable(cuda.withBackend("cpu"), other)).isSameAs(other);
    assertThatThrownBy(() -> Gpus.unusable(cuda.withBackend("cpu"), missing)).isSameAs(missing);
  }

  /** Goal: Spark's format, from what nvidia-smi says. */
  @Test
  void theDiscoveryScriptListsDevices() throws Exception {
    JsonNode found = discover("printf '0\\n1\\n10\\n'");
    assertThat(found.get("name").asText()).isEqualTo("gpu");
    assertThat(found.get("addresses").toString()).isEqualTo("[\"0\",\"1\",\"10\"]");
    assertThat(discover("printf ''").get("addresses")).isEmpty();
  }

  @Test
  void theDiscoveryScriptFailsWithNvidiaSmi() throws Exception {
    assertThatThrownBy(() -> discover("echo 'no devices' >&2; exit 9"))
        .hasMessageContaining("gpu-discovery: nvidia-smi failed");
  }

  private JsonNode discover(String body) throws IOException, InterruptedException {
    Path fake = folder.resolve("nvidia-smi");
    Files.writeString(fake, "#!/bin/sh\n" + body + "\n");
    Files.setPosixFilePermissions(fake, PosixFilePermissions.fromString("rwxr-xr-x"));
    ProcessBuilder builder = new ProcessBuilder(Path.of("bin", "gpu-discovery").toString());
    builder.environment().merge("PATH", folder.toString(), (path, f) -> f + ":" + path);
    Process process = builder.start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) throw new IOException(err);
    return new ObjectMapper().readTree(out);
  }
}
