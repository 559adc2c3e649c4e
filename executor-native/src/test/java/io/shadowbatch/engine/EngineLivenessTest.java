package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.schedule.Scheduler;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What callers hear of an engine that stops, and what is counted as computed for nothing. */
@Timeout(120)
class EngineLivenessTest {

  private static final SamplingParams LONG =
      new SamplingParams(300, 0, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, true);

  @TempDir Path folder;

  @AfterEach
  void standardBound() {
    System.clearProperty(EngineStalledException.PROPERTY);
  }

  private Engine open(Consumer<Scheduler> beforeStep) throws IOException {
    Path model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, 7, QuantType.Q8_0);
    EngineConfig config = new EngineConfig(model, "cpu", 1, 16L << 20, 64, 0, KvCodec.INT8, folder);
    return Engine.open(config, Backend.open("cpu", 1), beforeStep);
  }

  private static Iterator<Completion> ask(Engine engine, AtomicBoolean cancelled) {
    Request request = new Request(0, new int[] {5, 6, 7, 8}, LONG);
    return engine.run(List.of(request).iterator(), cancelled::get);
  }

  @Test
  void aStepWithoutEndIsAnEngineThatFailed() throws Exception {
    System.setProperty(EngineStalledException.PROPERTY, "1");
    CountDownLatch go = new CountDownLatch(1);
    try (Engine engine = open(scheduler -> await(go))) {
      Iterator<Completion> answers = ask(engine, new AtomicBoolean());
      assertThatThrownBy(answers::next)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("no step was finished for 1 s")
          .hasMessageContaining("-Dshadowbatch.engine.stallSeconds=1")
          .satisfies(e -> assertThat(Engine.isStalled(e.getCause())).isTrue());
      assertThat(engine.alive()).isFalse();
      go.countDown();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void anIdleEngineIsNotStuck() throws Exception {
    System.setProperty(EngineStalledException.PROPERTY, "1");
    try (Engine engine = open(scheduler -> {})) {
      Thread.sleep(1500);
      assertThat(ask(engine, new AtomicBoolean()).next().error()).isNull();
      assertThat(engine.metrics().wasted()).isEqualTo(WastedTokens.NONE);
    }
  }

  @Test
  void aBoundThatIsNoNumberIsRefused() {
    System.setProperty(EngineStalledException.PROPERTY, "soon");
    assertThatThrownBy(Engine::stallBound)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("-Dshadowbatch.engine.stallSeconds=soon: expected seconds, from 1 to 9999999");
  }

  @Test
  void tokensOfAnswersThatNobodyWaitsForAreCounted() throws Exception {
    AtomicBoolean cancelled = new AtomicBoolean();
    CountDownLatch begun = new CountDownLatch(20);
    CountDownLatch gone = new CountDownLatch(1);
    Consumer<Scheduler> pausing =
        scheduler -> {
          begun.countDown();
          if (begun.getCount() == 0) await(gone);
        };
    try (Engine engine = open(pausing)) {
      Iterator<Completion> answers = ask(engine, cancelled);
      assertThat(answers.hasNext()).isTrue();
      begun.await();
      cancelled.set(true);
      assertThatThrownBy(answers::next).isInstanceOf(CancellationException.class);
      gone.countDown();
      while (engine.metrics().wasted().cancelled() == 0) Thread.sleep(10);
      long computed = engine.metrics().computedTokens();
      assertThat(engine.metrics().wasted()).isEqualTo(new WastedTokens(computed, 0));
      assertThat(computed).as("4 of the prompt, then one a step").isBetween(22L, 24L);
      assertThat(engine.metrics().wasted().described()).containsOnlyKeys("cancelled");
    }
  }

  @Test
  void tokensOfAnswersThatAFailureEndedAreCounted() throws Exception {
    CountDownLatch steps = new CountDownLatch(11);
    Consumer<Scheduler> failing =
        scheduler -> {
          steps.countDown();
          if (steps.getCount() == 0) throw new IllegalStateException("asked to fail");
        };
    try (Engine engine = open(failing)) {
      Iterator<Completion> answers = ask(engine, new AtomicBoolean());
      assertThatThrownBy(answers::next).hasMessageContaining("asked to fail");
      assertThat(engine.metrics().wasted()).isEqualTo(new WastedTokens(0, 13));
    }
  }
}
