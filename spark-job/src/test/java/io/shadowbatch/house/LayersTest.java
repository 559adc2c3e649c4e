package io.shadowbatch.house;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Which package may import which: the architecture as a table. */
class LayersTest {

  private static final Pattern IMPORT =
      Pattern.compile("^import (?:static )?([a-z_]+(?:\\.[A-Za-z_*]+)+);");

  /** Each package with the packages of ours that it may use; subpackages count as their parent. */
  private static final Map<String, Set<String>> MAY_USE =
      Map.ofEntries(
          Map.entry("cli", Set.of("spark", "plan", "engine", "bench", "eval", "kernels")),
          Map.entry(
              "spark",
              Set.of(
                  "ledger", "plan", "engine", "model", "kv", "kernels", "tokens", "weights",
                  "request")),
          Map.entry("ledger", Set.of()),
          Map.entry("plan", Set.of("request")),
          Map.entry(
              "bench",
              Set.of(
                  "engine",
                  "schedule",
                  "model",
                  "kv",
                  "sample",
                  "tokens",
                  "weights",
                  "kernels",
                  "tensor",
                  "request")),
          Map.entry("eval", Set.of("engine", "model", "kv", "kernels", "tensor", "tokens")),
          Map.entry(
              "engine",
              Set.of(
                  "schedule",
                  "model",
                  "kv",
                  "sample",
                  "tokens",
                  "weights",
                  "kernels",
                  "tensor",
                  "request")),
          Map.entry("schedule", Set.of("kv", "kernels", "request")),
          Map.entry("model", Set.of("kv", "kernels", "weights", "tensor")),
          Map.entry("kv", Set.of("prefill", "kernels", "tensor")),
          Map.entry("prefill", Set.of("kernels", "tensor")),
          Map.entry("sample", Set.of("kernels", "tensor", "request")),
          Map.entry("tokens", Set.of()),
          Map.entry("weights", Set.of("tensor")),
          Map.entry("kernels", Set.of("tensor")),
          Map.entry("tensor", Set.of()),
          Map.entry("request", Set.of()));

  /** Foreign packages and the only packages of ours that may use them. */
  private static final Map<String, Set<String>> ONLY_IN =
      Map.of(
          "org.apache.spark", Set.of("spark", "ledger"),
          "org.apache.hadoop", Set.of("spark", "ledger"),
          "scala", Set.of("spark", "ledger"),
          "picocli", Set.of("cli"),
          "ai.djl", Set.of("tokens"),
          "org.ejml", Set.of("kv"),
          "jcuda", Set.of("kernels"),
          "com.fasterxml.jackson", Set.of("tokens", "weights", "model", "engine", "spark"));

  /** Goal: no import goes against the layers. */
  @Test
  void importsFollowTheLayers() {
    List<String> wrong = new ArrayList<>();
    Map<String, Integer> seen = new HashMap<>();
    for (Path file : Sources.java()) {
      String path = Sources.shown(file);
      if (!path.contains("src/main/java/io/shadowbatch/")) continue;
      String own = path.replaceFirst(".*src/main/java/io/shadowbatch/", "").replaceFirst("/.*", "");
      seen.merge(own, 1, Integer::sum);
      for (String line : Sources.lines(file)) {
        Matcher m = IMPORT.matcher(line);
        if (m.find() && !allowed(own, m.group(1))) wrong.add(path + ": " + line);
      }
    }
    assertThat(wrong).as("imports against the table of this test").isEmpty();
    assertThat(new TreeSet<>(MAY_USE.keySet())).as("packages").containsAll(seen.keySet());
  }

  private static boolean allowed(String own, String imported) {
    if (imported.startsWith("io.shadowbatch.")) {
      String other = imported.split("\\.")[2];
      return other.equals(own) || MAY_USE.getOrDefault(own, Set.of()).contains(other);
    }
    return ONLY_IN.entrySet().stream()
        .filter(e -> imported.startsWith(e.getKey() + "."))
        .allMatch(e -> e.getValue().contains(own));
  }

  /** Goal: native methods are declared in two classes' packages, each with its own bridge. */
  @Test
  void nativeMethodsAreWhereKernelsAre() {
    Pattern declaration = Pattern.compile("^\\s+[a-z ]*\\bnative [\\w<>\\[\\]]+ \\w+\\(.*");
    for (Path file : Sources.java()) {
      String path = Sources.shown(file);
      if (!path.contains("src/main/java") || path.matches(".*/kernels/(cpu|cuda)/.*")) continue;
      assertThat(Sources.lines(file)).as(path).noneMatch(l -> declaration.matcher(l).matches());
    }
  }
}
