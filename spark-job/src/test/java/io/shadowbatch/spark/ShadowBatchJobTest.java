package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.engine.CanaryMetrics;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.engine.WastedTokens;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.FinishReason;
import io.shadowbatch.request.Request;
import io.shadowbatch.schedule.SchedulerMetrics;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ShadowBatchJobTest {

  private static final String PROMPTS =
      "select cast(id as string) as id, id % 7 as topic, array(named_struct('role', 'user',"
          + " 'content', concat(repeat(concat('topic ', id % 7, ' is on the line. '), 14),"
          + " 'ask ', id))) as messages from range(60)";

  @TempDir Path folder;

  /** Goal: answers are the same bits for any partitioning and plan, sampled ones too. */
  @Test
  void answersDoNotDependOnPartitions() throws IOException {
    Path input = folder.resolve("prompts");
    LocalSpark.spark().sql(PROMPTS).repartition(3).write().parquet(input.toString());
    String[] common = {"max-tokens=6", "temperature=0.9", "n=2", "seed=11"};
    Set<String> first = answers(input, common, "partitions=1");
    assertThat(first).hasSize(120);
    assertThat(answers(input, common, "partitions=3")).isEqualTo(first);
    assertThat(answers(input, common, "partitions=7", "prefix-plan=off")).isEqualTo(first);
    assertThat(answers(input, common, "partitions=7", "planner=range")).isEqualTo(first);
    assertThat(answers(input, common, "partitions=2", "planner=global")).isEqualTo(first);
    assertThat(answers(input, common, "partitions=5", "planner=global")).isEqualTo(first);
    assertThat(answers(input, common, "partitions=2", "seed=12")).isNotEqualTo(first);
  }

  private Set<String> answers(Path input, String[] common, String... more) throws IOException {
    List<String> pairs = new ArrayList<>(List.of(common));
    pairs.removeIf(p -> List.of(more).stream().anyMatch(m -> sameOption(p, m)));
    pairs.addAll(List.of(more));
    Set<String> answers = new TreeSet<>();
    for (Row r : LocalSpark.run(input, folder, pairs.toArray(new String[0])).collectAsList()) {
      assertThat(r.<String>getAs("status")).isEqualTo("ok");
      answers.add(
          "%s/%s %s %s %s"
              .formatted(
                  r.getAs("request_id"),
                  r.getAs("sample_index"),
                  r.getAs("request_key"),
                  r.getList(r.fieldIndex("token_ids")),
                  r.getAs("completion")));
    }
    return answers;
  }

  private static boolean sameOption(String a, String b) {
    return a.substring(0, a.indexOf('=')).equals(b.substring(0, b.indexOf('=')));
  }

  /** Goal: other columns pass through, prefixes are reused and named, usage and times add up. */
  @Test
  void rowsCarryWhatTheyCost() throws IOException {
    Dataset<Row> out =
        LocalSpark.run(LocalSpark.spark().sql(PROMPTS), folder, "max-tokens=3", "logprobs=1");
    long cached = 0;
    for (Row r : out.collectAsList()) {
      long id = Long.parseLong(r.getAs("request_id"));
      assertThat(r.<Long>getAs("topic")).isEqualTo(id % 7);
      Row usage = r.getAs("usage");
      List<Integer> tokens = r.getList(r.fieldIndex("token_ids"));
      assertThat(usage.<Long>getAs("completion_tokens")).isEqualTo(tokens.size());
      assertThat(usage.getLong(0) + usage.getLong(1)).isEqualTo(usage.<Long>getAs("total_tokens"));
      assertThat(r.getList(r.fieldIndex("logprobs"))).hasSize(tokens.size());
      Row timing = r.getAs("timing");
      assertThat(timing.getDouble(0) + timing.getDouble(1) + timing.getDouble(2))
          .isCloseTo(timing.getDouble(3), org.assertj.core.data.Offset.offset(1e-6));
      assertThat(r.<Row>getAs("meta").<String>getAs("prefix_group")).isNotNull();
      cached += usage.<Long>getAs("cached_tokens");
    }
    assertThat(cached).isPositive();
    assertThat(out.select("meta.prefix_group").distinct().count()).isEqualTo(7);
  }

  /** Goal: the inference runs once for each row, whatever Spark does around it. */
  @Test
  void eachRowIsComputedOnce() throws IOException {
    Path input = folder.resolve("prompts");
    Path output = folder.resolve("completions");
    LocalSpark.spark()
        .sql("select id, cast(id as string) as prompt from range(500)")
        .write()
        .parquet(input.toString());
    Settings settings =
        LocalSpark.settings(
            "model=" + LocalSpark.model(), "input=" + input, "output=" + output, "partitions=5");
    long before = Echo.CALLS.get();
    ShadowBatchJob job =
        new ShadowBatchJob(
            LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet(), Echo::open);
    RunSummary summary = job.run();
    assertThat(Echo.CALLS.get() - before).isEqualTo(500);
    assertThat(summary.rows()).isEqualTo(500);
    assertThat(summary.completionTokens()).isEqualTo(500);
    assertThat(LocalSpark.spark().read().parquet(output.toString()).count()).isEqualTo(500);
    assertThat(output.resolve("_SUCCESS")).exists();
    assertThat(Files.readString(output.resolve("_shadowbatch/manifest.json")))
        .contains("\"rows\" : 500");
    try (var runs = Files.list(output.resolve("_shadowbatch/runs"))) {
      Path run = runs.findFirst().orElseThrow();
      assertThat(run.resolve("config.json")).content().contains("\"origin\" : \"command_line\"");
      assertThat(run.resolve("metrics.json")).content().contains("\"completion_tokens\" : 500");
      assertThat(run.resolve("status.json")).content().contains("\"state\" : \"finished\"");
    }
  }

  /** Goal: the summary, counted while rows are written, says what the files hold. */
  @Test
  void theSummaryDescribesTheFiles() throws IOException {
    String prompts =
        "select if(id % 5 = 0, '', concat(repeat('a line of all. ', 20), id)) as prompt,"
            + " if(id % 7 = 0, '{\"n\": 0}', '{\"n\": 2}') as sampling_params from range(40)";
    Path input = folder.resolve("prompts");
    LocalSpark.spark().sql(prompts).write().parquet(input.toString());
    for (String partitions : List.of("1", "3")) {
      Path output = folder.resolve("completions" + partitions);
      Settings settings =
          LocalSpark.settings(
              "model=" + LocalSpark.model(),
              "input=" + input,
              "output=" + output,
              "device-memory=16m",
              "max-tokens=3",
              "partitions=" + partitions);
      RunSummary summary =
          new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet()).run();
      Dataset<Row> rows = LocalSpark.spark().read().parquet(output.toString());
      assertThat(summary.rows()).isEqualTo(rows.count());
      assertThat(summary.errors()).hasSize(2).isEqualTo(counts(rows, "error.code"));
      assertThat(summary.finishes()).isNotEmpty().isEqualTo(counts(rows, "finish_reason"));
      Row usage =
          rows.selectExpr(
                  "sum(usage.prompt_tokens)",
                  "sum(usage.cached_tokens)",
                  "sum(usage.completion_tokens)")
              .first();
      assertThat(summary.promptTokens()).isEqualTo(usage.getLong(0));
      assertThat(summary.cachedTokens()).isPositive().isEqualTo(usage.getLong(1));
      assertThat(summary.completionTokens()).isEqualTo(usage.getLong(2));
      checkForecast(output, summary, Integer.parseInt(partitions));
    }
  }

  /** The run folder holds what was predicted of each partition beside what came. */
  private static void checkForecast(Path output, RunSummary summary, int partitions)
      throws IOException {
    JsonNode forecast;
    try (var runs = Files.list(output.resolve("_shadowbatch/runs"))) {
      Path file = runs.findFirst().orElseThrow().resolve("forecast.json");
      forecast = new ObjectMapper().readTree(file.toFile());
    }
    assertThat(forecast.get("partitions")).hasSize(partitions);
    JsonNode predicted = forecast.get("predicted");
    JsonNode actual = forecast.get("actual");
    long promptTokens = summary.promptTokens();
    assertThat(actual.get("prompt_tokens").asLong()).isEqualTo(promptTokens);
    assertThat(actual.get("computed_prompt_tokens").asLong())
        .isEqualTo(promptTokens - summary.cachedTokens());
    assertThat(predicted.get("prompt_tokens").asLong())
        .as("after the first prompts, bytes tell tokens")
        .isBetween(promptTokens / 2, 2 * promptTokens);
    assertThat(predicted.get("completion_tokens").asLong())
        .isGreaterThanOrEqualTo(summary.completionTokens() - summary.copiedTokens());
    assertThat(predicted.get("engine_seconds").asDouble()).isPositive();
    assertThat(actual.get("engine_seconds").asDouble()).isPositive();
    assertThat(predicted.get("kv_bytes_peak").asLong()).isPositive();
    assertThat(forecast.get("step_costs").get("token").asDouble()).isPositive();
  }

  private static Map<String, Long> counts(Dataset<Row> rows, String column) {
    Map<String, Long> counts = new HashMap<>();
    for (Row r : rows.groupBy(column).count().collectAsList()) {
      if (!r.isNullAt(0)) counts.put(r.getString(0), r.getLong(1));
    }
    return counts;
  }

  /** Goal: a job's own output may be overwritten, and says so when a run failed. */
  @Test
  void overwriteReplacesAJobsOutput() throws IOException {
    Path input = folder.resolve("prompts");
    Path output = folder.resolve("completions");
    LocalSpark.spark().sql("select 'a' as prompt").write().parquet(input.toString());
    for (int round = 0; round < 2; round++) {
      Settings settings =
          LocalSpark.settings(
              "model=" + LocalSpark.model(),
              "input=" + input,
              "output=" + output,
              "on-existing=overwrite");
      new ShadowBatchJob(
              LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet(), Echo::open)
          .run();
      assertThat(LocalSpark.spark().read().parquet(output.toString()).count()).isEqualTo(1);
    }
  }

  /** Goal: rows may bring parameters as struct, map or JSON, and prompts by template. */
  @Test
  void rowParametersAndTemplates() throws IOException {
    List<String> forms =
        List.of(
            "named_struct('max_tokens', cast(id + 1 as int), 'stop', array('q'))",
            "map('max_tokens', cast(id + 1 as string))",
            "to_json(named_struct('max_tokens', id + 1))");
    for (String form : forms) {
      Dataset<Row> prompts =
          LocalSpark.spark()
              .sql("select id, 'a and b' as body, " + form + " as sampling_params from range(3)");
      Dataset<Row> out =
          LocalSpark.run(
              prompts,
              folder,
              "prompt-template=Say {body}:",
              "system-prompt=Be short.",
              "ignore-eos=true");
      for (Row r : out.collectAsList()) {
        assertThat(r.<String>getAs("body")).isEqualTo("a and b");
        assertThat(r.<String>getAs("status")).isEqualTo("ok");
        assertThat(r.<Row>getAs("usage").<Long>getAs("completion_tokens"))
            .isLessThanOrEqualTo(Long.parseLong(r.getAs("request_id")) + 1);
      }
      assertThat(out.count()).isEqualTo(3);
    }
  }

  /** Goal: long prompts are cut by the policy, and the row says by how much. */
  @Test
  void longPromptsAreCut() throws IOException {
    Dataset<Row> prompts = LocalSpark.spark().sql("select repeat('x', 3000) as prompt");
    for (String policy : List.of("truncate_left", "truncate_right", "truncate_middle")) {
      Row r = LocalSpark.run(prompts, folder, "on-long-prompt=" + policy, "max-tokens=2").first();
      assertThat(r.<String>getAs("status")).isEqualTo("ok");
      assertThat(r.<Row>getAs("meta").<Integer>getAs("truncated_tokens")).isEqualTo(3000 - 510);
      assertThat(r.<Row>getAs("usage").<Long>getAs("prompt_tokens")).isEqualTo(510);
    }
  }

  /** Goal: text sources and their options work like Parquet. */
  @Test
  void otherFormats() throws IOException {
    Path csv = folder.resolve("in.csv");
    Files.writeString(csv, "key;prompt\n1;hello\n2;good day\n");
    String[] pairs = {"input-format=csv", "id-col=key", "max-tokens=1", "limit=1"};
    String options = "{\"input-option\": {\"sep\": \";\", \"header\": true}}";
    Path config = Files.writeString(folder.resolve("job.json"), options);
    Path output = folder.resolve("completions");
    Map<String, List<String>> given = new HashMap<>();
    for (String pair : pairs) {
      given.put(pair.split("=")[0], List.of(pair.split("=")[1]));
    }
    given.put("model", List.of(LocalSpark.model().toString()));
    given.put("input", List.of(csv.toString()));
    given.put("output", List.of(output.toString()));
    Settings settings = Settings.merge(given, Map.of(), config);
    RunSummary summary =
        new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet()).run();
    assertThat(summary.rows()).isEqualTo(1);
    assertThat(summary.errorRows()).isZero();
  }

  /** Answers each prompt with its first token; counts what it was asked. */
  private record Echo() implements CompletionSource {
    static final AtomicLong CALLS = new AtomicLong();

    static CompletionSource open(ModelCard model, EngineChoice choice) {
      return new Echo();
    }

    @Override
    public int[] encode(String prompt) {
      return prompt.getBytes(StandardCharsets.UTF_8).length == 0 ? new int[0] : new int[] {1};
    }

    @Override
    public StepCosts costs() {
      return new StepCosts(1e-3, 1e-4, 0, 0, 0);
    }

    @Override
    public KvChoice choice() {
      return null;
    }

    @Override
    public EngineMetrics metrics() {
      var none = new SchedulerMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0);
      return new EngineMetrics(
          none, KvTraffic.NONE, CanaryMetrics.NONE, CALLS.get(), 0, 0, WastedTokens.NONE);
    }

    @Override
    public int[] encodeRaw(String prompt) {
      return encode(prompt);
    }

    @Override
    public String token(int id) {
      return "t";
    }

    @Override
    public int contextTokens() {
      return 100;
    }

    @Override
    public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
      return new Iterator<>() {
        @Override
        public boolean hasNext() {
          return requests.hasNext();
        }

        @Override
        public Completion next() {
          CALLS.incrementAndGet();
          Request r = requests.next();
          return new Completion(
              r.id(),
              r.tokens().length,
              new int[] {5},
              "e",
              FinishReason.STOP,
              null,
              0,
              r.kvMode(),
              new Completion.Timing(1, 1, 1),
              null,
              null);
        }
      };
    }
  }
}
