package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.ReadCosts;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Short rows, a group behind a long prefix and long rows alone, through a tiny model. */
class KvModesTest {

  private static final int CONTEXT = 2048;

  /** Chunks of 8 tokens: a row reads 64 tokens that it picks and 3 chunks that all read. */
  private static final String[] SMALL = {
    "shadow-budget=64", "shadow-outliers=2", "shadow-least=256", "max-tokens=3", "ignore-eos=true"
  };

  private static final String PROMPTS =
      "select concat('short ', id) as id, concat('question ', id) as prompt from range(8)"
          + " union all select concat('group ', id),"
          + " concat(repeat('xyz qvj. ', 150), 'and ', id) from range(12)"
          + " union all select concat('alone ', id),"
          + " concat(id, ' ', repeat(concat('zq', id, '. '), 220)) from range(5)";

  @TempDir static Path shared;
  private static Path model;
  private static Path input;

  @TempDir Path folder;

  @BeforeAll
  static void write() throws IOException {
    model =
        TinyModels.gguf(Family.LLAMA, 7, QuantType.Q8_0)
            .put("llama.context_length", CONTEXT)
            .write(shared.resolve("long.gguf"));
    input = shared.resolve("prompts");
    LocalSpark.spark().sql(PROMPTS).repartition(2).write().parquet(input.toString());
  }

  /** A job that was run. */
  private record Ran(RunSummary summary, Map<String, String> modes, Map<String, String> answers) {}

  private Ran run(CompletionSource.Opener opener, String... pairs) throws IOException {
    Path output = Files.createTempDirectory(folder, "out").resolve("completions");
    List<String> all = new ArrayList<>(List.of(SMALL));
    all.addAll(List.of("model=" + model, "input=" + input, "output=" + output));
    all.addAll(List.of("device-memory=16m", "batch-tokens=64"));
    all.addAll(List.of(pairs));
    Settings settings = LocalSpark.settings(all.toArray(new String[0]));
    RunSummary summary =
        new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet(), opener)
            .run();
    Map<String, String> modes = new TreeMap<>();
    Map<String, String> answers = new TreeMap<>();
    for (Row r : LocalSpark.spark().read().parquet(output.toString()).collectAsList()) {
      String id = r.getAs("request_id");
      assertThat(r.<String>getAs("status")).as(id).isEqualTo("ok");
      assertThat(modes.put(id, r.<Row>getAs("meta").getAs("kv_mode"))).as("twice").isNull();
      answers.put(id, r.getList(r.fieldIndex("token_ids")).toString());
    }
    assertThat(modes).hasSize(25);
    return new Ran(summary, modes, answers);
  }

  /** Tokens that many rows read cost a tenth; what is picked costs as much as what is not. */
  private static KvChoice fixed(ShadowSpec spec) {
    StepCosts steps = new StepCosts(1e-9, 0, 0, 0, 0);
    return new KvChoice(
        steps, new ReadCosts(1e-6, 1e-7, 1e-6, 1e-6, 1e-6, 1e-6), spec, 1, 256, 160);
  }

  private static CompletionSource open(ModelCard card, EngineChoice choice) {
    return new FixedCosts(ExecutorEngine.get(card, choice), fixed(choice.kv().shadow()));
  }

  /** Goal: of one job's rows each is read in the way that pays for it; none is lost. */
  @Test
  void autoChoosesForEachGroup() throws IOException {
    Ran first = run(KvModesTest::open, "kv-mode=auto", "partitions=1");
    first
        .modes()
        .forEach(
            (id, mode) ->
                assertThat(mode).as(id).isEqualTo(id.startsWith("alone") ? "shadow" : "dense"));
    Ran again = run(KvModesTest::open, "kv-mode=auto", "partitions=1");
    assertThat(again.modes()).isEqualTo(first.modes());
    assertThat(again.answers()).isEqualTo(first.answers());
    assertThat(first.summary().kvModes()).isEqualTo(Map.of("dense", 20L, "shadow", 5L));
    Map<String, String> dense = run(ExecutorEngine::get, "partitions=3").answers();
    first
        .answers()
        .forEach(
            (id, tokens) -> {
              if (!id.startsWith("alone")) assertThat(tokens).as(id).isEqualTo(dense.get(id));
            });
  }

  /** Goal: what was read in part, and how far that was from all, is in every record of the run. */
  @Test
  void recordsSayWhatWasRead() throws IOException {
    Ran ran = run(KvModesTest::open, "kv-mode=auto", "partitions=2", "shadow-budget=72");
    Path files = Path.of(ran.summary().output(), "_shadowbatch");
    JsonNode manifest = read(files.resolve("manifest.json"));
    assertThat(manifest.get("kv_mode").asText()).isEqualTo("auto");
    assertThat(manifest.get("kv_modes").get("shadow").asLong()).isEqualTo(5);
    assertThat(manifest.get("kv_notes").get(0).asText()).contains("other partitions");
    JsonNode traffic = manifest.get("traffic");
    assertThat(traffic.get("prompts").asLong()).isEqualTo(5);
    // The first of 3 tokens comes from the prompt's last row; the others read 9 chunks that they
    // pick, 2 outliers and the first, which may be one of the outliers.
    assertThat(traffic.get("decoded_rows").asLong()).isEqualTo(10);
    int pairs = TinyModels.LAYERS * TinyModels.KV_HEADS;
    assertThat(traffic.get("tokens_read").asLong())
        .isBetween(10L * 11 * 8 * pairs, 10L * 12 * 8 * pairs);
    assertThat(traffic.get("read_share").asDouble()).isBetween(0.05, 0.2);
    assertThat(traffic.get("host_bytes_per_row").asDouble()).isPositive();
    JsonNode canary = manifest.get("canary");
    assertThat(canary.get("rows").asLong()).isBetween(1L, 5L);
    assertThat(canary.get("positions").asLong()).isEqualTo(2 * canary.get("rows").asLong());
    assertThat(canary.get("kl_mean").asDouble()).isPositive();
    assertThat(canary.get("fell_back").asBoolean()).isFalse();
    JsonNode run = runFolder(files);
    assertThat(run.get("actual").get("traffic")).isEqualTo(traffic);
    assertThat(run.get("partitions")).hasSize(2);
    long shadow = 0;
    for (JsonNode partition : run.get("partitions")) {
      JsonNode modes = partition.get("actual").get("kv_modes");
      shadow += modes.path("shadow").asLong();
      assertThat(partition.get("actual").has("engine_traffic")).isEqualTo(modes.has("shadow"));
    }
    assertThat(shadow).isEqualTo(5);
    assertThat(ran.summary().text()).contains("5 rows", "canary", "KL", "at most 0.03");
  }

  /** Goal: who asks for nothing gets exact answers and no word of anything else. */
  @Test
  void denseIsTheDefault() throws IOException {
    Ran ran = run(ExecutorEngine::get, "partitions=2");
    assertThat(ran.modes().values()).containsOnly("dense");
    JsonNode manifest = read(Path.of(ran.summary().output(), "_shadowbatch/manifest.json"));
    assertThat(manifest.get("kv_mode").asText()).isEqualTo("dense");
    assertThat(manifest.has("traffic")).isFalse();
    assertThat(manifest.has("kv_notes")).isFalse();
    assertThat(ran.summary().text()).doesNotContain("shadow", "canary");
  }

  /** Goal: asked for, all prompts that are long enough are read in part, the same in any parts. */
  @Test
  void shadowReadsAllLongPromptsInPart() throws IOException {
    Ran one = run(ExecutorEngine::get, "kv-mode=shadow", "partitions=1", "shadow-outliers=3");
    one.modes()
        .forEach(
            (id, mode) ->
                assertThat(mode).as(id).isEqualTo(id.startsWith("short") ? "dense" : "shadow"));
    Ran three = run(ExecutorEngine::get, "kv-mode=shadow", "partitions=3", "shadow-outliers=4");
    assertThat(three.modes()).isEqualTo(one.modes());
    Ran none = run(ExecutorEngine::get, "kv-mode=shadow", "partitions=3", "host-memory=0");
    assertThat(none.modes()).isEqualTo(one.modes());
  }

  /** Goal: the plan says how many rows and groups are read how, what each way takes, and why. */
  @Test
  void plansSayWhatWouldBeChosen() {
    Map<String, Object> dense = plan("kv-mode=dense");
    assertThat(dense.keySet()).noneMatch(k -> k.startsWith("kv_mode"));
    Map<String, Object> auto = plan("kv-mode=auto");
    assertThat(auto).containsEntry("kv_mode", "auto");
    assertThat(auto.get("kv_mode_completions")).isEqualTo(Map.of("dense", 20L, "shadow", 5L));
    assertThat(auto.get("kv_mode_groups")).isEqualTo(Map.of("dense", 1L, "shadow", 0L));
    assertThat((String) auto.get("kv_mode_why")).contains("auto asks for 1.30", "5 of 25");
    Map<?, ?> seconds = (Map<?, ?>) auto.get("predicted_decode_seconds");
    double chosen = (double) seconds.get("chosen");
    assertThat(chosen).isLessThan((double) seconds.get("dense"));
    assertThat(chosen).isLessThan((double) seconds.get("shadow"));
    Map<?, ?> bytes = (Map<?, ?>) auto.get("device_bytes_of_a_request");
    assertThat((long) bytes.get("shadow")).isBetween(1L, (long) bytes.get("dense"));
    assertThat((double) auto.get("predicted_engine_seconds"))
        .isLessThanOrEqualTo((double) dense.get("predicted_engine_seconds"));
    Map<String, Object> shadow = plan("kv-mode=shadow");
    assertThat(shadow.get("kv_mode_completions")).isEqualTo(Map.of("dense", 8L, "shadow", 17L));
    assertThat(shadow.get("kv_mode_groups")).isEqualTo(Map.of("dense", 0L, "shadow", 1L));
    assertThat(shadow.keySet()).containsAll(dense.keySet());
  }

  /** Goal: an executor measures what reading costs there, and the plan shows it. */
  @Test
  void costsAreMeasuredOnAnExecutor() {
    Map<String, Object> plan =
        PlanReport.of(LocalSpark.spark(), planned("kv-mode=auto"), Instant.EPOCH);
    assertThat(plan).containsEntry("kv_mode", "auto");
    Map<?, ?> costs = (Map<?, ?>) plan.get("read_costs");
    assertThat(costs).hasSize(6);
    costs.forEach(
        (name, seconds) -> assertThat((double) seconds).as("" + name).isBetween(0.0, 1.0));
    assertThat((double) costs.get("token")).isPositive();
  }

  private static Settings planned(String mode) {
    List<String> all = new ArrayList<>(List.of(SMALL));
    all.addAll(List.of("model=" + model, "input=" + input, "partitions=1", "max-tokens=64", mode));
    all.remove("max-tokens=3");
    return LocalSpark.settings(all.toArray(new String[0]));
  }

  private static Map<String, Object> plan(String mode) {
    return PlanReport.of(
        LocalSpark.spark(),
        planned(mode),
        Instant.EPOCH,
        plan -> {
          ShadowSpec spec = plan.engine().kv().shadow();
          StepCosts steps = new StepCosts(1e-3, 1e-3, 0, 1e-5, 1e-5);
          return new EngineCosts.Found(steps, spec == null ? null : fixed(spec));
        });
  }

  /** Goal: layers with a window are refused before work starts, and auto stays exact. */
  @Test
  void windowsAreReadExactly() throws IOException {
    Path windowed =
        TinyModels.write(folder.resolve("window.gguf"), Family.MISTRAL, 3, QuantType.Q8_0);
    Path output = folder.resolve("completions");
    String[] common = {"model=" + windowed, "input=" + input, "output=" + output, "limit=1"};
    assertThatThrownBy(() -> job(common, "kv-mode=shadow"))
        .hasMessageContainingAll("--kv-mode shadow", "24 tokens", "--kv-mode dense")
        .isInstanceOfSatisfying(
            JobException.class, e -> assertThat(e.exit()).isEqualTo(Exit.USAGE));
    assertThat(output).doesNotExist();
    assertThat(job(common, "kv-mode=auto").kvModes()).containsOnlyKeys("dense");
  }

  private static RunSummary job(String[] common, String mode) {
    List<String> all = new ArrayList<>(List.of(common));
    all.add(mode);
    Settings settings = LocalSpark.settings(all.toArray(new String[0]));
    return new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet())
        .run();
  }

  private static JsonNode read(Path file) throws IOException {
    return new ObjectMapper().readTree(file.toFile());
  }

  private static JsonNode runFolder(Path files) throws IOException {
    try (var runs = Files.list(files.resolve("runs"))) {
      return read(runs.findFirst().orElseThrow().resolve("forecast.json"));
    }
  }

  /** An engine whose costs do not depend on the machine. */
  private record FixedCosts(CompletionSource engine, KvChoice choice) implements CompletionSource {
    @Override
    public int[] encode(String prompt) {
      return engine.encode(prompt);
    }

    @Override
    public int[] encodeRaw(String prompt) {
      return engine.encodeRaw(prompt);
    }

    @Override
    public String token(int id) {
      return engine.token(id);
    }

    @Override
    public int contextTokens() {
      return engine.contextTokens();
    }

    @Override
    public StepCosts costs() {
      return engine.costs();
    }

    @Override
    public EngineMetrics metrics() {
      return engine.metrics();
    }

    @Override
    public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
      return engine.run(requests, cancelled);
    }
  }
}
