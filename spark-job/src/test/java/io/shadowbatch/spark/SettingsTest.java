package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.KvOptions.Mode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {

  @TempDir Path folder;

  /** Goal: command line over Spark property over file over default. */
  @Test
  void precedenceIsCommandLineConfFileDefault() throws IOException {
    Path file = folder.resolve("job.yaml");
    Files.writeString(
        file, "max-tokens: 1\ntop-k: 11\nseed: 21\nstop: [a, b]\ninput-option: {header: true}\n");
    Map<String, String> conf =
        Map.of(
            "spark.shadowbatch.sampling.maxTokens", "2",
            "spark.shadowbatch.sampling.topK", "12",
            "spark.executor.memory", "1g");
    Settings s = Settings.merge(Map.of("max-tokens", List.of("3")), conf, file);
    assertThat(s.whole(JobOptions.MAX_TOKENS)).isEqualTo(3);
    assertThat(s.whole(JobOptions.TOP_K)).isEqualTo(12);
    assertThat(s.whole(JobOptions.SEED)).isEqualTo(21);
    assertThat(s.decimal(JobOptions.TOP_P)).isEqualTo(1);
    assertThat(s.texts(JobOptions.STOP)).containsExactly("a", "b");
    assertThat(s.texts(JobOptions.INPUT_OPTION)).containsExactly("header=true");
    assertThat(s.described().get("top-k").toString()).contains("12").contains("conf");
    assertThat(s.described().get("seed").toString()).contains("file");
    assertThat(s.described().get("max-tokens").toString()).contains("command_line");
  }

  /** Goal: JSON files work, and a list property may be a JSON array. */
  @Test
  void jsonFilesAndListProperties() throws IOException {
    Path file = folder.resolve("job.json");
    Files.writeString(file, "{\"temperature\": 0.5, \"ignore-eos\": true}");
    Map<String, String> conf = Map.of("spark.shadowbatch.sampling.stop", "[\"x\",\"y\"]");
    Settings s = Settings.merge(Map.of(), conf, file);
    assertThat(s.decimal(JobOptions.TEMPERATURE)).isEqualTo(0.5);
    assertThat(s.on(JobOptions.IGNORE_EOS)).isTrue();
    assertThat(s.texts(JobOptions.STOP)).containsExactly("x", "y");
  }

  /** Goal: a wrong value's message names the place to mend, the expectation and the value. */
  @Test
  void messagesNameThePlace() throws IOException {
    assertUsage(() -> LocalSpark.settings("max-tokens=x"), "--max-tokens", "whole number", "x");
    assertUsage(() -> LocalSpark.settings("device-memory=lots"), "--device-memory", "512m", "lots");
    assertUsage(() -> LocalSpark.settings("prefix-plan=maybe"), "--prefix-plan", "on, off");
    assertUsage(
        () -> Settings.merge(Map.of(), Map.of("spark.shadowbatch.sampling.topK", "-4"), null),
        "--conf spark.shadowbatch.sampling.topK",
        "-4");
    assertUsage(
        () -> Settings.merge(Map.of(), Map.of("spark.shadowbatch.sampling.tpoK", "4"), null),
        "spark.shadowbatch.sampling.tpoK");
    Path file = folder.resolve("job.yaml");
    Files.writeString(file, "max_tokens: 4\n");
    assertUsage(() -> Settings.merge(Map.of(), Map.of(), file), "max_tokens");
    assertUsage(() -> Settings.merge(Map.of(), Map.of(), folder.resolve("none.yaml")), "none.yaml");
  }

  /** Goal: wrong values are refused with what is right. */
  @Test
  void refusesWhatMakesNoSense() {
    assertExit(Exit.USAGE, "on-existing=append", "resume");
    assertExit(Exit.USAGE, "chunk-rows=0", "1 or more");
    assertExit(Exit.USAGE, "chunk-minutes=0", "more than 0");
    assertExit(Exit.USAGE, "deadline=tomorrow", "1h30m");
    assertExit(Exit.USAGE, "cost-budget=3", "--cost-budget");
    assertExit(Exit.USAGE, "temperature=-1", "temperature");
    assertExit(Exit.USAGE, "top-p=0", "top_p");
    assertExit(Exit.USAGE, "n=0", "n: expected 1..");
    assertExit(Exit.USAGE, "template-date=yesterday", "2026-01-31");
    assertExit(Exit.USAGE, "max-error-rate=2", "0..1");
    assertExit(Exit.USAGE, "field-order=auto", "--prompt-fields");
  }

  /** Goal: what the GPU's kernels cannot do is refused before anything runs, by its option. */
  @Test
  void theGpuTakesHalfFloatsAndPinnedMemory() {
    assertThat(JobConfig.of(LocalSpark.settings("model=m", "backend=cuda"), Instant.EPOCH))
        .satisfies(c -> assertThat(c.engine().backend()).isEqualTo("cuda"));
    refusedOnCuda("kv-codec=int8", "--kv-codec");
    refusedOnCuda("host-folder=/tmp", "--host-folder");
  }

  private static void refusedOnCuda(String pair, String option) {
    assertUsage(
        () -> JobConfig.of(LocalSpark.settings("model=m", "backend=cuda", pair), Instant.EPOCH),
        option,
        "--backend cuda");
  }

  /** Goal: prompts are read exactly unless asked, and what reads them in part is checked. */
  @Test
  void keysAndValuesAreDenseUnlessAskedOtherwise() {
    KvOptions dense = kv("device-memory=2g", "host-memory=1g");
    assertThat(dense).isEqualTo(new KvOptions(Mode.DENSE, null, 2L << 30, 0, null, 0, null));
    KvOptions shadow = kv("kv-mode=shadow", "device-memory=2g", "kv-codec=fp16");
    assertThat(shadow)
        .isEqualTo(
            new KvOptions(
                Mode.SHADOW, KvCodec.FP16, 2L << 30, 2L << 30, null, 0, ShadowSpec.STANDARD));
    KvOptions auto =
        kv("kv-mode=auto", "host-memory=0", "shadow-budget=256", "shadow-attend=union");
    assertThat(auto.hostBytes()).isZero();
    assertThat(auto.bytes()).isEqualTo(1L << 30);
    assertThat(auto.shadow().budgetTokens()).isEqualTo(256);
    assertThat(auto.shadow().attend()).isEqualTo(ShadowSpec.Attend.UNION);
    assertThat(kv("kv-mode=auto", "host-memory=96m").hostBytes()).isEqualTo(96L << 20);
    KvOptions factors = kv("kv-mode=shadow", "shadow-keys=lowrank_int8", "host-folder=/big");
    assertThat(factors.shadow()).isEqualTo(ShadowSpec.STANDARD.holding(KeyStore.LOWRANK_INT8, 64));
    assertThat(factors.hostBytes()).as("exact keys move too").isEqualTo(4L << 30);
    assertThat(factors.host()).isEqualTo(new HostMemory(4L << 30, Path.of("/big")));
    assertThat(factors.bytes()).as("files are no memory").isEqualTo(1L << 30);
    assertThat(kv("kv-mode=auto", "shadow-least=77").shadow().leastTokens()).isEqualTo(77);
    assertExit(Exit.USAGE, "shadow-budget=7", "--shadow-budget: expected 16..65536, got \"7\"");
    assertExit(Exit.USAGE, "shadow-outliers=5000", "--shadow-outliers: expected 0..4096");
    assertUsage(() -> kv("kv-mode=sparse"), "--kv-mode", "auto, dense, shadow", "sparse");
    assertUsage(() -> kv("host-memory=some"), "--host-memory", "auto, 0 or a size", "some");
    assertUsage(() -> kv("device-memory=0"), "--device-memory", "512m", "0");
  }

  private static KvOptions kv(String... pairs) {
    return KvOptions.of(LocalSpark.settings(pairs));
  }

  /** Goal: every option has a name, a property and a line of its own. */
  @Test
  void tableIsComplete() {
    Set<String> seen = new HashSet<>();
    for (JobOption o : JobOptions.ALL) {
      assertThat(seen.add(o.name())).as(o.name()).isTrue();
      assertThat(seen.add(o.key())).as(o.key()).isTrue();
      assertThat(o.text()).isNotBlank();
    }
    assertThat(JobOptions.KV_MODE.key()).isEqualTo("spark.shadowbatch.engine.kvMode");
    assertThat(LocalSpark.settings("device-memory=2g").bytes(JobOptions.DEVICE_MEMORY))
        .isEqualTo(2L << 30);
    assertThat(LocalSpark.settings("device-memory=512MiB").bytes(JobOptions.DEVICE_MEMORY))
        .isEqualTo(512L << 20);
  }

  /** Goal: the README's table is the one that the options make. */
  @Test
  void readmeHasTheTable() throws IOException {
    assertThat(Files.readString(Path.of("..", "README.md"))).contains(JobOptions.markdown());
  }

  /** Goal: values that look like secrets do not reach the run's record. */
  @Test
  void secretsAreHidden() {
    Settings s = LocalSpark.settings("input-option=fs.access.key=abc");
    assertThat(s.described().get("input-option").toString()).doesNotContain("abc");
  }

  private static void assertExit(Exit exit, String pair, String message) {
    assertThatThrownBy(() -> JobConfig.of(LocalSpark.settings("model=m", pair), Instant.EPOCH))
        .hasMessageContaining(message)
        .isInstanceOfSatisfying(JobException.class, e -> assertThat(e.exit()).isEqualTo(exit));
  }

  private static void assertUsage(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String... parts) {
    assertThatThrownBy(call)
        .hasMessageContainingAll(parts)
        .isInstanceOfSatisfying(
            JobException.class, e -> assertThat(e.exit()).isEqualTo(Exit.USAGE));
  }
}
