package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
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
    long saved = (long) plan.get("tokens_saved_by_groups");
    assertThat(saved).isBetween(1L, (long) plan.get("reusable_tokens") + 1);
    assertThat(plan(input, "prefix-plan=off")).containsEntry("prefix_groups", 0L);
  }

  private static Map<String, Object> plan(Path input, String plan) throws IOException {
    Settings settings =
        LocalSpark.settings("model=" + LocalSpark.model(), "input=" + input, "partitions=1", plan);
    return PlanReport.of(LocalSpark.spark(), settings, Instant.EPOCH);
  }
}
