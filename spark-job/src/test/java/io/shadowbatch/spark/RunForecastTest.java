package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.engine.CanaryMetrics;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.engine.WastedTokens;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.spark.Forecast.Limits;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RunForecastTest {

  private static final StepCosts COSTS = new StepCosts(1, 1, 1, 1, 1);

  /** An engine's state after so many seconds and as many prompts read in part. */
  private static EngineClock at(int prompts, CanaryMetrics canary) {
    KvTraffic traffic =
        new KvTraffic(
            prompts, 2 * prompts, 30 * prompts, 300 * prompts, 80, 0, 0, 8, 2, 3.6, 4, prompts);
    return new EngineClock(prompts, 1000 + prompts, traffic, canary, WastedTokens.NONE);
  }

  private static CanaryMetrics canary(long positions, double kl) {
    return new CanaryMetrics(positions / 8, positions, kl, 1);
  }

  private static PartitionOutcome part(
      int number, String executor, EngineClock before, EngineClock after) {
    return new PartitionOutcome(
        number,
        executor,
        new PlanFacts(),
        COSTS,
        1,
        1,
        1,
        Map.of(KvMode.SHADOW, 1L),
        1,
        before,
        after);
  }

  private static RunForecast run(PartitionOutcome... parts) {
    return new RunForecast(List.of(parts), new Limits(16, 1, 1));
  }

  /** Goal: an engine's work counts once however many tasks saw it, and from the run's begin. */
  @Test
  void enginesCountOnce() {
    RunForecast run =
        run(
            part(0, "a", at(3, canary(80, 0.01)), at(9, canary(160, 0.02))),
            part(1, "a", at(4, canary(80, 0.01)), at(13, canary(240, 0.02))),
            part(2, "b", at(0, CanaryMetrics.NONE), at(5, canary(40, 0.028))));
    EngineClock engines = run.engines();
    assertThat(engines.seconds()).isEqualTo(10 + 5);
    assertThat(engines.kvBytesPeak()).isEqualTo(1013);
    assertThat(engines.traffic().sealed()).isEqualTo(15);
    assertThat(engines.traffic().tokensRead()).isEqualTo(450);
    assertThat(engines.canary().positions()).isEqualTo(160 + 40);
    double kl = (240 * 0.02 - 80 * 0.01 + 40 * 0.028) / 200;
    assertThat(engines.canary().klMean()).isCloseTo(kl, within(1e-12));
    assertThat(run.fellBack()).isFalse();
    Map<?, ?> traffic = (Map<?, ?>) run.readInPart().get("traffic");
    assertThat(traffic.get("read_share")).isEqualTo(0.1);
    assertThat(traffic.get("decoded_rows")).isEqualTo(30L);
  }

  /**
   * Goal: a canary past its limits is told of, even if the engine passed them in an earlier run.
   */
  @Test
  void enginesThatFellBackAreTold() {
    CanaryMetrics far = canary(80, 0.2);
    RunForecast run = run(part(0, "a", at(3, far), at(3, far)));
    assertThat(run.fellBack()).isTrue();
    Map<?, ?> canary = (Map<?, ?>) run.readInPart().get("canary");
    assertThat(canary.get("fell_back")).isEqualTo(true);
    assertThat(canary.get("kl_limit")).isEqualTo(CanaryMetrics.KL_MOST);
    assertThat(KvReport.canaryText(far, run.fellBack())).contains("KL 0.2000", "read exactly");
    KvOptions kv = KvOptions.of(LocalSpark.settings("kv-mode=shadow", "shadow-attend=union"));
    assertThat(KvReport.notes(kv, true).get("kv_notes").toString())
        .contains("--shadow-attend union", "passed a limit");
    assertThat(KvReport.notes(kv.dense(), false)).isEmpty();
  }

  /** Goal: where nothing was read in part there is nothing to tell. */
  @Test
  void exactRunsTellNothing() {
    EngineClock exact =
        new EngineClock(4, 9, KvTraffic.NONE, CanaryMetrics.NONE, WastedTokens.NONE);
    assertThat(run(part(0, "a", EngineClock.ZERO, exact)).readInPart()).isEmpty();
  }
}
