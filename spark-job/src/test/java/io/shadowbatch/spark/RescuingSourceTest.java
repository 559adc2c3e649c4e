package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.RequestError;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.TaskContextImpl;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import scala.Option;
import scala.collection.immutable.Map$;

/** What a task does when its engine fails, and when an answer is an error. */
@Timeout(300)
class RescuingSourceTest {

  @TempDir Path folder;

  private final PartitionRuns runs = new PartitionRuns();

  private static GuardedSource guard() {
    return new GuardedSource(
        PoisonModel::open,
        PartitionRuns.CARD,
        JobConfig.of(LocalSpark.settings("model=m", "output=o"), Instant.EPOCH).engine(),
        () -> false);
  }

  private List<Row> rows(int count, String prompt) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) rows.add(runs.row("" + i, prompt + " " + i, Map.of()));
    return PartitionRuns.sorted(rows);
  }

  /** Answers a row with an error so many times, then well. */
  private static CompletionSource failing(ErrorCode code, int times, Map<Long, Integer> asked) {
    FakeModel model = new FakeModel(l -> 0, -1);
    model.answering(
        (request, answer) ->
            asked.merge(request.id(), 1, Integer::sum) > times
                ? answer
                : Completion.failed(request, new RequestError(code, "no")));
    return model;
  }

  @Test
  void anErrorThatMayPassIsAskedForOnceMore() {
    Map<Long, Integer> asked = new HashMap<>();
    CompletionSource once = failing(ErrorCode.ENGINE_ERROR, 1, asked);
    List<Row> out = runs.run(rows(90, "ask").iterator(), rescued(once), Dedup.OFF);
    assertThat(out).hasSize(90).allMatch(row -> row.isNullAt(PartitionRuns.ERROR));
    assertThat(asked.values()).containsOnly(2);
  }

  @Test
  void anErrorThatStaysSaysHowOftenItWasTried() {
    Map<Long, Integer> asked = new HashMap<>();
    CompletionSource ever = failing(ErrorCode.OUT_OF_MEMORY, 9, asked);
    List<Row> out = runs.run(rows(3, "ask").iterator(), rescued(ever), Dedup.OFF);
    assertThat(out).hasSize(3);
    for (Row row : out) {
      Row error = row.getStruct(PartitionRuns.ERROR);
      assertThat(error.getString(0)).isEqualTo("OUT_OF_MEMORY");
      assertThat(error.getInt(4)).as("attempts").isEqualTo(2);
    }
    assertThat(asked.values()).containsOnly(2);
  }

  @Test
  void errorsOfTheRowAreNotTriedAgain() {
    Map<Long, Integer> asked = new HashMap<>();
    CompletionSource ever = failing(ErrorCode.PROMPT_TOO_LONG, 9, asked);
    List<Row> out = runs.run(rows(3, "ask").iterator(), rescued(ever), Dedup.OFF);
    assertThat(out).allMatch(row -> row.getStruct(PartitionRuns.ERROR).getInt(4) == 1);
    assertThat(asked.values()).containsOnly(1);
  }

  private static RescuingSource rescued(CompletionSource first) {
    return new RescuingSource(first, guard(), "");
  }

  @Test
  void aPartitionWhoseEngineFailsGoesOnInAProcess() {
    List<Row> expected =
        runs.run(rows(150, "ask").iterator(), new FakeModel(l -> 0, -1), Dedup.OFF);
    try (GuardedSource guard = guard()) {
      CompletionSource dying = new FakeModel(l -> 0, 30);
      RescuingSource source = new RescuingSource(dying, guard, "");
      List<Row> out = runs.run(rows(150, "ask").iterator(), source, Dedup.OFF);
      assertThat(out.stream().map(PartitionRuns::answer).sorted().toList())
          .isEqualTo(expected.stream().map(PartitionRuns::answer).sorted().toList());
      assertThat(guard.processes()).isEqualTo(1);
    }
  }

  /** Goal: who comes after a failed attempt opens no engine in the executor, and leaves nothing. */
  @Test
  void allButTheFirstAttemptAreGuarded() {
    AtomicInteger opened = new AtomicInteger();
    CompletionSource.Opener opener =
        (model, choice) -> {
          opened.incrementAndGet();
          return new FakeModel(l -> 0, -1);
        };
    TaskContextImpl first = attempt(0);
    assertThat(open(opener, first).engineOn("3")).isEqualTo("3");
    first.markTaskCompleted(Option.empty());
    assertThat(opened).hasValue(1);
    TaskContextImpl second = attempt(1);
    RescuingSource source = open(PoisonModel::open, second);
    assertThat(source.engineOn("3")).isEqualTo("3 guarded 5");
    assertThat(source.encode("ab")).containsExactly('a', 'b');
    assertThat(ProcessHandle.current().children().filter(ProcessHandle::isAlive)).hasSize(1);
    second.markTaskCompleted(Option.empty());
    assertThat(ProcessHandle.current().children().filter(ProcessHandle::isAlive)).isEmpty();
    assertThat(open(opener, attempt(1)).metrics().computedTokens()).isZero();
    assertThat(opened).as("engines opened in this process").hasValue(1);
  }

  private static RescuingSource open(CompletionSource.Opener opener, TaskContextImpl task) {
    EngineChoice choice =
        JobConfig.of(LocalSpark.settings("model=m", "output=o"), Instant.EPOCH).engine();
    return RescuingSource.open(opener, PartitionRuns.CARD, choice, task);
  }

  private static TaskContextImpl attempt(int number) {
    return new TaskContextImpl(
        1, 0, 5, 9, number, 8, null, new Properties(), null, null, 1, Map$.MODULE$.empty());
  }

  /** Goal: a job whose engine fails at a row ends with that row's error, without a failed task. */
  @Test
  void aJobLosesTheRowThatFailsItsEngine() throws Exception {
    Path input = folder.resolve("in");
    Dataset<Row> prompts =
        LocalSpark.spark()
            .sql(
                "select cast(id as string) as id, concat(if(id = 33, 'THROW', 'ask'), ' ', id) as"
                    + " prompt from range(120)");
    prompts.write().parquet(input.toString());
    Path output = folder.resolve("out");
    Settings settings =
        LocalSpark.settings(
            "model=" + LocalSpark.model(), "input=" + input, "output=" + output, "partitions=2");
    RunSummary summary =
        new ShadowBatchJob(
                LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet(), PoisonModel::open)
            .run();
    assertThat(summary.rows()).isEqualTo(120);
    List<Row> errors =
        LocalSpark.spark()
            .read()
            .parquet(output.toString())
            .filter("status = 'error'")
            .selectExpr("request_id", "error.code", "meta.task_attempt")
            .collectAsList();
    assertThat(errors).hasSize(1);
    assertThat(errors.get(0).getString(0)).isEqualTo("33");
    assertThat(errors.get(0).getString(1)).isEqualTo("ENGINE_CRASH");
    assertThat(errors.get(0).getInt(2)).as("attempts that failed").isZero();
  }
}
