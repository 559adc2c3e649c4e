package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.spark.PlanFacts.Fact;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The benchmark of planning: counts, not times. */
class PlanningBenchTest {

  private static final int ROWS = 4_000;

  private static PlanningBench bench(Map<String, String> options) throws IOException {
    Map<String, List<String>> all = new HashMap<>();
    all.put("model", List.of(LocalSpark.model().toString()));
    options.forEach((name, value) -> all.put(name, List.of(value)));
    return new PlanningBench(LocalSpark.spark(), all);
  }

  /** Goal: sixteen prompts, and no others, begin with the same three quarters. */
  @Test
  void promptsComeInGroupsOfSixteen() {
    SyntheticPrompts.Text text = new SyntheticPrompts.Text(1_600, 1_000, 7);
    Map<String, Integer> prefixes = new HashMap<>();
    for (int i = 0; i < 1_600; i++) {
      byte[] prompt = text.prompt(i);
      assertThat(prompt).hasSize(1_000).isEqualTo(text.prompt(i));
      String prefix = new String(prompt, 0, 750, StandardCharsets.UTF_8);
      prefixes.merge(prefix, 1, Integer::sum);
    }
    assertThat(prefixes).hasSize(100).containsValue(16);
    assertThat(prefixes.values()).containsOnly(16);
    byte[] other = new SyntheticPrompts.Text(1_600, 1_000, 8).prompt(0);
    assertThat(Arrays.mismatch(text.prompt(0), other)).isBetween(0, 20);
  }

  /** Goal: what is planned is all rows in their groups, and what it cost is known. */
  @Test
  void everyRowIsPlannedAndPaidFor() throws IOException {
    PlanningBench.Result r =
        bench(Map.of("prompt-bytes", "1200", "partitions", "1")).measured(ROWS);
    assertThat(r.counts().of(Fact.ROWS)).isEqualTo(ROWS);
    assertThat(r.counts().of(Fact.PROMPT_BYTES)).isEqualTo(1_200L * ROWS);
    assertThat(r.counts().of(Fact.GROUPS)).isEqualTo(ROWS / 16);
    assertThat(r.counts().of(Fact.GROUPED_ROWS)).isEqualTo(ROWS);
    assertThat(r.partitions()).isEqualTo(1);
    assertThat(r.passes()).isGreaterThanOrEqualTo(1);
    assertThat(r.planningMicros()).isPositive();
    assertThat(r.tasks().shuffleBytes()).as("one partition needs no shuffle").isZero();
  }

  /** Goal: several partitions are shuffled, and prompts may be rendered by the chat template. */
  @Test
  void partitionsAreShuffledAndPromptsRendered() throws IOException {
    Map<String, String> options =
        Map.of("partitions", "5", "prompt-template", "{prompt}", "keep-cols", "id");
    PlanningBench.Result r = bench(options).measured(ROWS);
    assertThat(r.counts().of(Fact.ROWS)).isEqualTo(ROWS);
    assertThat(r.counts().of(Fact.PROMPT_BYTES)).isGreaterThan(1_200L * ROWS);
    assertThat(r.counts().of(Fact.GROUPS)).isBetween(ROWS / 16L, ROWS / 16L + 4);
    assertThat(r.partitions()).isEqualTo(5);
    assertThat(r.tasks().shuffleBytes()).isGreaterThan(ROWS * 100L);
    assertThat(r.heapBytes()).isPositive();
  }
}
