package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Spark evaluates again what stands below a second action, a range sort or a pushed filter. */
class EvaluationTest {
  private static final int ROWS = 200;

  @TempDir Path folder;

  private StubRows rows;
  private Traces traces;
  private String output;

  @BeforeEach
  void make() throws IOException {
    rows = StubRows.make(folder, ROWS);
    traces = new Traces(StubRows.folder(folder, "traces"));
    output = folder.resolve("completions").toString();
  }

  /** Goal: planning, counting and checking the output call the model for no request twice. */
  @ParameterizedTest
  @ValueSource(strings = {"range", "global"})
  void eachRequestIsComputedOnce(String planner) throws IOException {
    run("planner=" + planner, "dedup=off");
    assertThat(traces.computed()).isEqualTo(rows.expected().size());
    assertThat(rows.difference(output)).isEqualTo(StubRows.Difference.NONE);
  }

  private void run(String... more) throws IOException {
    CompletionSource.Opener opener = new TracedModel.Opener(traces.folder().toString(), 0, 0);
    List<String> options = new ArrayList<>(StubRows.options(rows.input(), output));
    options.addAll(List.of(more));
    Settings settings = LocalSpark.settings(options.toArray(new String[0]));
    new ShadowBatchJob(LocalSpark.spark(), settings, Instant.EPOCH, LocalSpark.quiet(), opener)
        .run();
  }
}
