package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The prefix of all prompts is found before the ordering, and does not blind it. */
class InputScanTest {

  private static final int LARGE_BYTES = 1 << 20;
  private static final int DOCUMENTS = 24;

  @TempDir Path folder;

  private static Settings settings(Path input, String... pairs) throws IOException {
    List<String> all = new ArrayList<>(List.of(pairs));
    all.add("model=" + LocalSpark.model());
    all.add("input=" + input);
    return LocalSpark.settings(all.toArray(new String[0]));
  }

  private static JobPlan plan(Path input, RootSearch search, String... pairs) throws IOException {
    JobConfig config = JobConfig.of(settings(input, pairs), Instant.EPOCH);
    return JobPlan.open(LocalSpark.spark(), config, search);
  }

  private Path write(Dataset<Row> rows, String name) {
    Path input = folder.resolve(name);
    rows.write().parquet(input.toString());
    return input;
  }

  private static Dataset<Row> prompts(List<byte[]> prompts) {
    List<Row> rows = prompts.stream().map(p -> RowFactory.create((Object) p)).toList();
    StructType schema = new StructType().add("prompt", DataTypes.BinaryType);
    return LocalSpark.spark().createDataFrame(rows, schema);
  }

  /** Goal: the root is the plain common prefix, whatever the files; bad rows have no say in it. */
  @Test
  void theRootIsTheCommonPrefixOfAllThatHaveAPrompt() throws IOException {
    for (long seed = 0; seed < 6; seed++) {
      Random random = new Random(seed);
      String stem = "é".repeat(random.nextInt(400)) + "x".repeat(random.nextInt(300));
      List<byte[]> texts = new ArrayList<>();
      for (int i = 0; i < 2 + random.nextInt(30); i++) {
        texts.add((stem + (char) ('a' + i % 26) + i).getBytes(StandardCharsets.UTF_8));
      }
      int shared = stem.getBytes(StandardCharsets.UTF_8).length;
      List<byte[]> all = new ArrayList<>(texts);
      all.add(null);
      all.add(new byte[] {(byte) 0xc3});
      all.add(new byte[0]);
      Path input = write(prompts(all).repartition(1 + random.nextInt(5)), "in" + seed);
      JobPlan plan = plan(input, RootSearch.ALWAYS);
      assertThat(plan.sharing().rootBytes())
          .as("seed %d", seed)
          .isEqualTo(shared < 256 ? 0 : shared);
      assertThat(plan.rows()).as("seed %d", seed).isEqualTo(all.size());
    }
  }

  /** Goal: nothing to share is no root: no rows, no prompts, prompts that differ at once. */
  @Test
  void thereMayBeNoRoot() throws IOException {
    Path none = write(prompts(List.of()), "none");
    assertThat(plan(none, RootSearch.ALWAYS).sharing().rootBytes()).isZero();
    assertThat(plan(none, RootSearch.ALWAYS).rows()).isZero();
    Path broken = write(prompts(Arrays.asList(null, new byte[0])), "broken");
    assertThat(plan(broken, RootSearch.ALWAYS).sharing().rootBytes()).isZero();
    Path texts =
        write(LocalSpark.spark().sql("select repeat(id, 300) as prompt from range(9)"), "d");
    assertThat(plan(texts, RootSearch.ALWAYS).sharing().rootBytes()).isZero();
    Path json = folder.resolve("json");
    LocalSpark.spark().read().parquet(texts.toString()).write().json(json.toString());
    JobPlan counted = plan(json, RootSearch.IF_SPREAD, "input-format=json");
    assertThat(counted.sharing().rootBytes()).isZero();
    assertThat(counted.rows()).isEqualTo(9);
  }

  /** Goal: the input is only scanned for a root where one is of use. */
  @Test
  void theRootIsSoughtWhereRowsAreSpread() throws IOException {
    String sql = "select concat(repeat('of all ', 99), id) as prompt from range(300)";
    Path input = write(LocalSpark.spark().sql(sql), "in");
    assertThat(plan(input, RootSearch.NEVER).sharing().rootBytes()).isZero();
    assertThat(plan(input, RootSearch.IF_SPREAD, "partitions=1").sharing().rootBytes()).isZero();
    assertThat(plan(input, RootSearch.IF_SPREAD, "partitions=3").sharing().rootBytes())
        .isEqualTo(693);
    assertThat(plan(input, RootSearch.ALWAYS, "prefix-plan=off").sharing().rootBytes()).isZero();
    Path csv = folder.resolve("csv");
    LocalSpark.spark().sql(sql).write().option("header", true).csv(csv.toString());
    String[] options = {"input-format=csv", "input-option=header=true", "partitions=1"};
    assertThat(plan(csv, RootSearch.IF_SPREAD, options).sharing().rootBytes()).isEqualTo(693);
    assertThat(plan(csv, RootSearch.IF_SPREAD, options).rows()).isEqualTo(300);
  }

  /** Goal: behind a megabyte that all share, documents are told apart, spread and kept together. */
  @Test
  void aMegabyteInFrontOfAllDoesNotBlindTheSort() throws IOException {
    Path input = write(documents(), "documents");
    JobPlan plan = plan(input, RootSearch.IF_SPREAD, "partitions=4");
    assertThat(plan.sharing().rootBytes()).isEqualTo(LARGE_BYTES);
    int kept = plan.table().kept().size();
    List<Row> parts =
        plan.ordered()
            .selectExpr(
                "spark_partition_id()", "doc", PreparedRows.SIGNATURE, PreparedRows.PROMPT_BYTES)
            .collectAsList();
    assertThat(kept).isEqualTo(1);
    Set<String> firstBlocks = new HashSet<>();
    int[] sizes = new int[4];
    int runs = 0;
    String before = "";
    for (Row row : parts) {
      byte[] signature = row.getAs(2);
      assertThat(PrefixSignature.blocks(signature)).isPositive();
      firstBlocks.add(PrefixSignature.nameOf(signature, 1));
      sizes[row.getInt(0)]++;
      String place = row.getInt(0) + "/" + row.get(1);
      if (!place.equals(before)) runs++;
      before = place;
    }
    assertThat(firstBlocks).hasSize(DOCUMENTS);
    assertThat(Arrays.stream(sizes).sum()).isEqualTo(2 * DOCUMENTS);
    assertThat(Arrays.stream(sizes).boxed()).allMatch(n -> n >= DOCUMENTS / 4 && n <= DOCUMENTS);
    assertThat(runs).as("documents parted").isLessThanOrEqualTo(DOCUMENTS + 3);
    PlannedRows planned = new PlannedRows(rows(plan), plan.sharing(), kept);
    Set<String> groups = new HashSet<>();
    planned.forEachRemaining(p -> groups.add(p.group().name()));
    assertThat(groups).hasSize(DOCUMENTS).doesNotContainNull();
  }

  private static java.util.Iterator<Row> rows(JobPlan plan) {
    return PrefixOrdering.apply(plan.prepared(), plan.sharing(), plan.planner(), 1)
        .toLocalIterator();
  }

  private static Dataset<Row> documents() {
    return LocalSpark.spark()
        .sql(
            "select id %% %1$d as doc, concat(repeat('instruc ', %2$d), repeat(sha(cast(id %% %1$d"
                    .formatted(DOCUMENTS, LARGE_BYTES / 8)
                + " as string)), 20), ' question ', id) as prompt from range(0, %d, 1, 3)"
                    .formatted(2 * DOCUMENTS));
  }

  /** Goal: a row that the scan did not see, and that is not below the root, is still answered. */
  @Test
  void rowsThatAreNotBelowTheRootAreOnlyPlacedBadly() throws IOException {
    String sql = "select concat(repeat('of all ', 99), id) as prompt from range(40)";
    Path input = write(LocalSpark.spark().sql(sql), "in");
    JobPlan plan = plan(input, RootSearch.NEVER);
    PrepareTask below = plan.prepare().below(2_000);
    List<Row> rows = new ArrayList<>();
    below.call(plan.table().rows().toLocalIterator()).forEachRemaining(rows::add);
    rows.sort((a, b) -> Arrays.compareUnsigned(signature(a), signature(b)));
    PlannedRows planned = new PlannedRows(rows.iterator(), plan.sharing().below(2_000), 0);
    List<Prepared> seen = new ArrayList<>();
    planned.forEachRemaining(p -> seen.add(p.prepared()));
    assertThat(seen).hasSize(40);
  }

  private static byte[] signature(Row row) {
    return PreparedRows.read(row, 0).signature();
  }

  /** Goal: the plan names the root and the copies, and what they save. */
  @Test
  void thePlanNamesRootAndCopies() throws IOException {
    String sql = "select concat(repeat('of all ', 99), id % 25) as prompt from range(100)";
    Path input = write(LocalSpark.spark().sql(sql), "in");
    for (String plan : List.of("on", "off")) {
      Map<String, Object> report =
          PlanReport.of(
              LocalSpark.spark(),
              settings(input, "prefix-plan=" + plan, "max-tokens=10", "partitions=3"),
              Instant.EPOCH);
      assertThat(report)
          .containsEntry("root_bytes", plan.equals("on") ? 693L : 0L)
          .containsEntry("copied_rows", 75L)
          .containsEntry("copied_completion_tokens_max", 750L);
      assertThat((long) report.get("copied_prompt_tokens")).isPositive();
      assertThat((long) report.get("computed_prompt_tokens")).isPositive();
    }
    Map<String, Object> off =
        PlanReport.of(LocalSpark.spark(), settings(input, "dedup=off"), Instant.EPOCH);
    assertThat(off).containsEntry("copied_rows", 0L);
    assertThat((long) off.get("root_tokens")).isPositive();
  }

  /** Goal: answers are the same bits with a megabyte in front, copied or not, in any partitions. */
  @Test
  void answersDoNotDependOnRootOrCopies() throws IOException {
    String sql =
        "select cast(id as string) as id, concat(repeat('instruc ', %s), ' ask ', id %% 4) as"
            + " prompt, id * 3 as mark from range(12)";
    for (int repeats : new int[] {40, LARGE_BYTES / 8}) {
      Path input = write(LocalSpark.spark().sql(sql.formatted(repeats)), "in" + repeats);
      Set<String> expected = answers(input, "dedup=off", "partitions=1");
      assertThat(expected).hasSize(24);
      assertThat(answers(input, "dedup=auto", "partitions=1")).isEqualTo(expected);
      assertThat(answers(input, "dedup=auto", "partitions=3")).isEqualTo(expected);
      assertThat(answers(input, "dedup=off", "partitions=3")).isEqualTo(expected);
      assertThat(answers(input, "partitions=2", "prefix-plan=off")).isEqualTo(expected);
    }
  }

  private Set<String> answers(Path input, String... more) throws IOException {
    List<String> pairs = new ArrayList<>(List.of(more));
    pairs.addAll(List.of("max-tokens=4", "n=2", "temperature=0.8", "on-long-prompt=truncate_left"));
    Set<String> answers = new HashSet<>();
    int copies = 0;
    Dataset<Row> out = LocalSpark.run(input, folder, pairs.toArray(new String[0]));
    for (Row r : out.collectAsList()) {
      Row meta = r.getAs("meta");
      if (meta.<Boolean>getAs("copied")) copies++;
      assertThat(r.<Long>getAs("mark")).isEqualTo(3 * Long.parseLong(r.getAs("request_id")));
      answers.add(
          "%s/%s %s %s %s"
              .formatted(
                  r.getAs("request_id"),
                  r.getAs("sample_index"),
                  r.getAs("completion"),
                  r.getList(r.fieldIndex("token_ids")),
                  meta.getAs("seed")));
    }
    assertThat(copies).isEqualTo(pairs.contains("dedup=off") ? 0 : 16);
    String manifest = Files.readString(folderOf(out).resolve("_shadowbatch/manifest.json"));
    assertThat(manifest).contains("\"schema_version\" : " + CompletionTable.SCHEMA_VERSION);
    return answers;
  }

  private static Path folderOf(Dataset<Row> out) {
    return Path.of(java.net.URI.create(out.inputFiles()[0])).getParent();
  }
}
