package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PlanReportTest {

  @TempDir Path folder;

  /** Goal: groups and what they save are known before anything runs. */
  @Test
  void groupsAreKnownBeforeTheRun() throws IOException {
    Path input = folder.resolve("prompts");
    LocalSpark.spark()
        .sql(
            "select id, concat(repeat(concat('topic ', id % 7, ' is on the line. '), 14), id)"
                + " as prompt from range(60)")
        .write()
        .parquet(input.toString());
    Map<String, Object> plan = plan(input, "prefix-plan=on");
    assertThat(plan)
        .containsEntry("rows", 60L)
        .containsEntry("prefix_groups", 7L)
        .containsEntry("rows_in_prefix_groups", 60L)
        .containsEntry("largest_prefix_group", 9L);
    // Each prefix is a block of 256 bytes, all of one length.
    long prefix = (long) plan.get("longest_group_prefix_tokens");
    assertThat(prefix).isPositive();
    assertThat(plan).containsEntry("mean_group_prefix_tokens", prefix);
    long saved = (long) plan.get("tokens_saved_by_groups");
    long reusable = (long) plan.get("reusable_tokens");
    assertThat(saved).as("but for rounding").isBetween(1L, reusable + reusable / 100);
    assertThat(plan(input, "prefix-plan=off")).containsEntry("prefix_groups", 0L);
  }

  /** Goal: the plan says how even the partitions are, and how many each slot gets. */
  @Test
  void balanceIsKnownBeforeTheRun() throws IOException {
    Path input = folder.resolve("prompts");
    LocalSpark.spark()
        .sql(
            "select repeat(concat(id, ' words '), int(1 + id * id / 10)) as prompt from range(200)")
        .write()
        .parquet(input.toString());
    assertThat(plan(input, "prefix-plan=on")).containsEntry("partition_balance", 1.0);
    for (String planner : List.of("range", "global")) {
      Settings settings =
          LocalSpark.settings(
              "model=" + LocalSpark.model(),
              "input=" + input,
              "partitions=5",
              "planner=" + planner);
      Map<String, Object> plan = PlanReport.of(LocalSpark.spark(), settings, Instant.EPOCH);
      assertThat(plan).containsEntry("partitions_per_slot", 2.5);
      assertThat((double) plan.get("partition_balance")).as(planner).isBetween(1.0, 1.1);
    }
  }

  private static Map<String, Object> plan(Path input, String plan) throws IOException {
    Settings settings =
        LocalSpark.settings("model=" + LocalSpark.model(), "input=" + input, "partitions=1", plan);
    return PlanReport.of(LocalSpark.spark(), settings, Instant.EPOCH);
  }
}
