package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.plan.ColumnOrder;
import io.shadowbatch.spark.FieldStatistics.Fact;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Fields of a table in a job: statistics, order, reports, and what is refused. */
class FieldPlanTest {

  /** A review of its own for each row, one of 25 products with its text, one of 3 stars. */
  private static final String REVIEWS =
      "select concat('review ', id, repeat(' fine', 20)) as review,"
          + " concat('product ', id * 7919 % 25) as product,"
          + " repeat(concat('part ', id * 7919 % 25, ' of it. '), 40) as text,"
          + " cast(id * 31 % 3 as int) as stars from range(300)";

  private static final String FIELDS = "prompt-fields=review,stars,product,text";

  @TempDir Path folder;

  /** Goal: what is measured does not depend on row order or partitions, and is about true. */
  @Test
  void statisticsDoNotDependOnPartitions() {
    Dataset<Row> rows =
        LocalSpark.spark()
            .sql(
                "select cast(cast(id as string) as binary) as a, id * 7919 % 40000 as b,"
                    + " id * 7919 % 40000 * 3 as c,"
                    + " if(id % 10 = 0, null, id % 7) as d from range(60000)");
    PromptFields fields = PromptFields.given(List.of("a", "b", "c", "d"));
    List<List<Integer>> sets =
        List.of(List.of(0), List.of(1), List.of(3), List.of(1, 2), List.of(1, 3));
    Map<List<Integer>, Fact> one = FieldStatistics.of(rows.coalesce(1), fields, sets);
    assertThat(FieldStatistics.of(rows.orderBy(rows.col("d")), fields, sets)).isEqualTo(one);
    assertThat(FieldStatistics.of(rows.repartition(7), fields, sets)).isEqualTo(one);
    long[] expected = {60000, 40000, 8, 40000, 60000};
    for (int i = 0; i < expected.length; i++) {
      Fact fact = one.get(sets.get(i));
      assertThat(fact.rows()).isEqualTo(60000);
      double margin = 4 * ColumnOrder.ERROR * expected[i];
      assertThat((double) fact.distinct()).as("set %d", i).isCloseTo(expected[i], within(margin));
    }
    assertThat(one.get(List.of(3)).bytes())
        .isEqualTo(6000 * "\"d\": null,\n".length() + 54000 * "\"d\": 1,\n".length());
  }

  /** Goal: a unique column first shares little; auto moves it last, says so, and shares more. */
  @Test
  void autoSharesMoreThanAUniqueColumnFirst() throws IOException {
    Path input = write(REVIEWS);
    Map<String, Object> given = PlanReport.of(LocalSpark.spark(), settings(input), Instant.EPOCH);
    Settings settings = settings(input, "field-order=auto");
    Map<String, Object> auto = PlanReport.of(LocalSpark.spark(), settings, Instant.EPOCH);
    assertThat(given).containsEntry("field_order", List.of("review", "stars", "product", "text"));
    assertThat(given).doesNotContainKey("field_statistics");
    assertThat((List<?>) auto.get("field_order")).last().isEqualTo("review");
    assertThat((long) auto.get("reusable_tokens"))
        .isGreaterThan(3 * (long) given.get("reusable_tokens"))
        .isGreaterThan((long) auto.get("prompt_tokens") / 3);
    assertThat((double) auto.get("field_bytes_shared"))
        .isGreaterThan(3 * (double) auto.get("field_bytes_shared_given"));
    List<?> statistics = (List<?>) auto.get("field_statistics");
    assertThat(statistics).hasSize(4);
    assertThat(PlanReport.text(auto)).contains("field=review").contains("distinct=300");
    assertThat(statistics.toString())
        .contains("glued_with=[text]")
        .contains("glued_with=[product]");
  }

  /** Goal: validate, plan and run write the same order, and the run's records hold it. */
  @Test
  void allCommandsUseOneOrder() throws IOException {
    Path input = write(REVIEWS);
    Path output = folder.resolve("completions");
    Settings settings =
        settings(
            input,
            "field-order=auto",
            "prompt-template=Rate: {fields} Stars?",
            "output=" + output,
            "limit=200",
            "max-tokens=1",
            "on-long-prompt=truncate_left",
            "device-memory=16m",
            "partitions=2");
    Object order = PlanReport.of(LocalSpark.spark(), settings, Instant.EPOCH).get("field_order");
    assertThat(InputCheck.of(LocalSpark.spark(), settings, Instant.EPOCH))
        .containsEntry("field_order", order)
        .containsEntry("rows_with_errors", 0L);
    new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet()).run();
    JsonNode manifest = json(output.resolve("_shadowbatch/manifest.json"));
    assertThat(manifest.get("field_order")).hasToString(new ObjectMapper().valueToTree(order) + "");
    assertThat(manifest.get("field_order_given")).hasSize(4);
    try (var runs = Files.list(output.resolve("_shadowbatch/runs"))) {
      JsonNode config = json(runs.findFirst().orElseThrow().resolve("config.json"));
      assertThat(config.get("chosen").get("field_order")).isEqualTo(manifest.get("field_order"));
    }
    Dataset<Row> rows = LocalSpark.spark().read().parquet(output.toString());
    assertThat(rows.where("status = 'ok' and review is not null").count()).isEqualTo(200);
  }

  /** Goal: the prompt is the object in the template; nulls are null, malformed text is an error. */
  @Test
  void promptsHoldTheFields() throws IOException {
    Path input =
        write(
            "select 1 as id, 'x\"{b}' as a, date'2026-01-31' as b, null as c, cast(2.5 as double) d"
                + " union all select 2, cast(X'c328' as string), null, null, null"
                + " union all select 3, 'y', null, null, null");
    Settings settings =
        LocalSpark.settings(
            "model=" + LocalSpark.model(),
            "input=" + input,
            "prompt-template=It: {fields}",
            "prompt-fields= C, a,b,d",
            "field-order=auto");
    JobPlan plan = JobPlan.open(LocalSpark.spark(), JobConfig.of(settings, Instant.EPOCH));
    List<Row> rows = plan.table().rows().orderBy(PromptReader.ID).collectAsList();
    PromptReader reader = plan.table().reader();
    assertThat(plan.table().fields().fields().names()).containsExactly("c", "a", "b", "d");
    assertThat(plan.table().fields().measured().rows()).as("rows that can be read").isEqualTo(2);
    assertThat(reader.with(PromptFields.given(List.of("c", "a", "b", "d"))).filled(rows.get(0)))
        .isEqualTo(
            "It: {\n\"c\": null,\n\"a\": \"x\\\"{b}\",\n\"b\": \"2026-01-31\",\n\"d\": 2.5\n}");
    assertThatThrownBy(() -> reader.filled(rows.get(1)))
        .hasMessageContaining("column a: not valid UTF-8");
  }

  /** Goal: what cannot work is refused with option, value and cure. */
  @Test
  void refusesWhatCannotWork() throws IOException {
    Path input = write("select 'x' as prompt, array(1) as list, 1 as fields, 'y' as text");
    assertRefused(Exit.INPUT, input, "--prompt-fields body: no such column", "prompt-fields=body");
    assertRefused(Exit.INPUT, input, "column list: expected text, a number", "prompt-fields=list");
    assertRefused(
        Exit.INPUT,
        input,
        "has a column fields; rename",
        "prompt-fields=text",
        "prompt-template=a {fields}");
    assertRefused(Exit.USAGE, input, "each once, got \"text,Text\"", "prompt-fields=text,Text");
    assertRefused(Exit.USAGE, input, "at least one column", "prompt-fields=,");
    assertRefused(Exit.USAGE, input, "--field-order: expected given, or", "field-order=auto");
    for (String option : List.of("prompt-col", "messages-col")) {
      assertRefused(
          Exit.USAGE,
          input,
          "--" + option + ": expected none beside --prompt-fields",
          "prompt-fields=text",
          option + "=prompt");
    }
  }

  private static void assertRefused(Exit exit, Path input, String message, String... pairs)
      throws IOException {
    String[] all = java.util.Arrays.copyOf(pairs, pairs.length + 2);
    all[pairs.length] = "model=" + LocalSpark.model();
    all[pairs.length + 1] = "input=" + input;
    assertThatThrownBy(
            () ->
                JobPlan.open(
                    LocalSpark.spark(),
                    JobConfig.of(LocalSpark.settings(all), Instant.EPOCH),
                    RootSearch.NEVER))
        .hasMessageContaining(message)
        .isInstanceOfSatisfying(JobException.class, e -> assertThat(e.exit()).isEqualTo(exit));
  }

  private Path write(String sql) {
    Path input = folder.resolve("input");
    LocalSpark.spark().sql(sql).write().parquet(input.toString());
    return input;
  }

  private static Settings settings(Path input, String... pairs) throws IOException {
    String[] all = java.util.Arrays.copyOf(pairs, pairs.length + 3);
    all[pairs.length] = "model=" + LocalSpark.model();
    all[pairs.length + 1] = "input=" + input;
    all[pairs.length + 2] = FIELDS;
    return LocalSpark.settings(all);
  }

  private static JsonNode json(Path file) throws IOException {
    return new ObjectMapper().readTree(Files.readString(file));
  }
}
