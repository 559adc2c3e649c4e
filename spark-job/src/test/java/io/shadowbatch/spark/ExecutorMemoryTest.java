package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.engine.EngineMemory;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.MachineMemory.Bound;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Starts that cannot fit are refused with the numbers and with settings that would do. */
class ExecutorMemoryTest {

  private static final long MIB = 1L << 20;
  private static final EngineMemory ENGINE =
      new EngineMemory(200 * MIB, 512 * MIB, 30 * MIB, 40 * MIB);
  private static final ExecutorMemory MEMORY = new ExecutorMemory(1024 * MIB, ENGINE);

  /** 782 of the engine and 256 of Java and Spark. */
  private static final int OFF_HEAP = 1038;

  @TempDir Path folder;

  private static SparkConf conf(String master, String... pairs) {
    SparkConf conf = new SparkConf(false).set("spark.master", master);
    for (int i = 0; i < pairs.length; i += 2) conf.set(pairs[i], pairs[i + 1]);
    return conf;
  }

  private static EngineChoice choice(String... pairs) {
    String[] all = new String[pairs.length + 1];
    all[0] = "model=/m";
    System.arraycopy(pairs, 0, all, 1, pairs.length);
    return JobConfig.of(LocalSpark.settings(all), Instant.EPOCH).engine();
  }

  /** Goal: overhead is what Spark would ask YARN and Kubernetes for. */
  @Test
  void overheadIsSparksOwn() {
    Map<SparkConf, Long> expected =
        Map.of(
            conf("yarn"), 384L,
            conf("yarn", "spark.executor.memory", "10g"), 1024L,
            conf("yarn", "spark.executor.minMemoryOverhead", "500m"), 500L,
            conf("yarn", "spark.executor.memory", "10g", "spark.executor.memoryOverhead", "700"),
                700L,
            conf("yarn", "spark.executor.memoryOverhead", "2g"), 2048L,
            conf("yarn", "spark.executor.memoryOverheadFactor", "0.5"), 512L,
            conf("k8s://x", "spark.kubernetes.memoryOverheadFactor", "0.6"), 614L,
            conf("yarn", "spark.kubernetes.memoryOverheadFactor", "0.6"), 384L);
    expected.forEach(
        (conf, mib) ->
            assertThat(ExecutorMemory.overhead(conf))
                .as(conf.toDebugString())
                .isEqualTo(mib * MIB));
  }

  /** Goal: what the message proposes is enough, and one MiB less is not. */
  @Test
  void containersTooSmallAreRefusedWithWhatSuffices() {
    EngineChoice choice = choice("device-memory=512m");
    assertThatThrownBy(() -> MEMORY.requireContainers(conf("yarn"), choice))
        .isInstanceOf(JobException.class)
        .hasMessageContaining("needs 2062 MiB (heap 1024 MiB, weights 200 MiB")
        .hasMessageContaining("384 MiB beside it")
        .hasMessageContaining("--conf spark.executor.memoryOverhead=" + OFF_HEAP + "m")
        .satisfies(e -> assertThat(((JobException) e).exit()).isEqualTo(Exit.RESOURCES))
        .hasMessageNotContaining("or --device-memory");
    assertThatThrownBy(() -> MEMORY.requireContainers(over(OFF_HEAP - 1), choice))
        .hasMessageContaining("or --device-memory 511m");
    assertThatCode(() -> MEMORY.requireContainers(over(OFF_HEAP), choice))
        .doesNotThrowAnyException();
    assertThatCode(() -> MEMORY.requireContainers(conf("local[2]"), choice))
        .doesNotThrowAnyException();
  }

  private static SparkConf over(int mib) {
    return conf("yarn", "spark.executor.memoryOverhead", mib + "m");
  }

  /** Goal: on a host, what the process has already is counted once, and other engines too. */
  @Test
  void aHostWithoutRoomIsRefused() {
    EngineChoice choice = choice("device-memory=512m");
    SparkConf local = conf("local[2]");
    long needed = MEMORY.total();
    long own = 300 * MIB;
    MEMORY.requireHere(machine(needed - own, own), local, choice, 0);
    assertThatThrownBy(
            () -> MEMORY.requireHere(machine(needed - own - 9 * MIB, own), local, choice, 0))
        .hasMessageContaining("lacks 1762 MiB, and /limit has 1753 MiB free of 9000 MiB")
        .hasMessageContaining("use a limit of 9 MiB more, or --device-memory 503m");
    assertThatThrownBy(() -> MEMORY.requireHere(machine(needed - own, own), local, choice, MIB))
        .hasMessageContaining("a limit of 1 MiB more");
    assertThatThrownBy(() -> MEMORY.requireHere(machine(MIB, own), conf("yarn"), choice, 0))
        .hasMessageContaining("--conf spark.executor.memoryOverhead=" + OFF_HEAP + "m");
  }

  private static MachineMemory machine(long free, long own) {
    return new MachineMemory(List.of(new Bound("/limit", 9000 * MIB, free)), own);
  }

  /** Goal: a job whose engine no machine could hold ends with code 8, having computed nothing. */
  @Test
  void aJobThatCannotFitIsRefused() throws IOException {
    SparkSession spark = LocalSpark.spark();
    var prompts = spark.range(3).selectExpr("cast(id as string) id", "'hello' prompt");
    assertThatThrownBy(() -> LocalSpark.run(prompts, folder, "device-memory=900t", "max-tokens=2"))
        .isInstanceOf(JobException.class)
        .hasMessageContaining("--device-memory 943718400m: an executor needs")
        .satisfies(e -> assertThat(((JobException) e).exit()).isEqualTo(Exit.RESOURCES));
  }
}
