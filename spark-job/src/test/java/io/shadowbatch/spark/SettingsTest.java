package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.spark.JobException.Exit;
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
    assertUsage(() -> LocalSpark.settings("kv-memory=lots"), "--kv-memory", "512m", "lots");
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

  /** Goal: what this version cannot do is refused with what to do instead. */
  @Test
  void refusesWhatDoesNotWorkYet() {
    assertExit(Exit.RESOURCES, "backend=cuda", "--backend cpu");
    assertExit(Exit.USAGE, "kv-mode=shadow", "dense");
    assertExit(Exit.USAGE, "on-existing=resume", "overwrite");
    assertExit(Exit.USAGE, "temperature=-1", "temperature");
    assertExit(Exit.USAGE, "top-p=0", "top_p");
    assertExit(Exit.USAGE, "n=0", "n: expected 1..");
    assertExit(Exit.USAGE, "template-date=yesterday", "2026-01-31");
    assertExit(Exit.USAGE, "max-error-rate=2", "0..1");
    assertExit(Exit.USAGE, "field-order=auto", "--prompt-fields");
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
    assertThat(LocalSpark.settings("kv-memory=2g").bytes(JobOptions.KV_MEMORY)).isEqualTo(2L << 30);
    assertThat(LocalSpark.settings("kv-memory=512MiB").bytes(JobOptions.KV_MEMORY))
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
