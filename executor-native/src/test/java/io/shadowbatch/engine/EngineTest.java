package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.FinishReason;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The whole engine on a tiny random model. */
@Timeout(120)
class EngineTest {
  private static final long SEED = 20261121;
  private static final long ROOMY = 64L << 20;

  @TempDir Path folder;
  private Path model;

  @BeforeEach
  void writeModel() throws IOException {
    model = TinyModels.write(folder.resolve("tiny.gguf"), Family.QWEN2, SEED, QuantType.Q8_0);
  }

  private Engine open(long kvBytes, int batchTokens) throws IOException {
    return Engine.open(
        new EngineConfig(model, "cpu", 2, kvBytes, batchTokens, 0, KvCodec.INT8, folder));
  }

  private static List<Request> requests(int count, SamplingParams params) {
    Random random = new Random(SEED);
    List<Request> requests = new ArrayList<>();
    int[] shared = random.ints(90, 0, 250).toArray();
    for (int i = 0; i < count; i++) {
      int[] tokens = random.ints(1 + random.nextInt(150), 0, 250).toArray();
      if (i % 2 == 0) System.arraycopy(shared, 0, tokens, 0, Math.min(90, tokens.length));
      requests.add(new Request(i, tokens, params));
    }
    return requests;
  }

  private static Map<Long, Completion> run(Engine engine, List<Request> requests) {
    Map<Long, Completion> answers = new HashMap<>();
    Iterator<Completion> it = engine.run(requests.iterator(), () -> false);
    while (it.hasNext()) {
      Completion c = it.next();
      assertThat(answers.put(c.id(), c)).as("one answer for request %d", c.id()).isNull();
    }
    assertThat(answers).hasSize(requests.size());
    return answers;
  }

  private static Map<Long, List<Object>> texts(Map<Long, Completion> answers) {
    Map<Long, List<Object>> texts = new HashMap<>();
    answers.forEach(
        (id, c) -> {
          List<Object> fields = new ArrayList<>();
          for (int token : c.tokenIds()) fields.add(token);
          Collections.addAll(fields, c.text(), c.finishReason(), c.stopReason(), c.logprobs());
          texts.put(id, fields);
        });
    return texts;
  }

  private static SamplingParams sampled(int maxTokens) {
    return new SamplingParams(
        maxTokens, 0, 0.9, 0.95, 40, 0, SEED, List.of(), List.of(), 0.1, 0.1, 1.1, 2, true);
  }

  @Test
  void answersDoNotDependOnMemoryBudgetOrOrder() throws IOException {
    List<Request> requests = requests(40, sampled(150));
    Map<Long, List<Object>> expected;
    try (Engine engine = open(ROOMY, 64)) {
      expected = texts(run(engine, requests));
      assertThat(engine.metrics().scheduler().preemptions()).isZero();
      assertThat(engine.metrics().scheduler().reusedTokens()).isPositive();
    }
    long page = 2L * 2 * (2 * 64 * 32 + 1024);
    try (Engine engine = open(7 * page, 33)) {
      assertThat(texts(run(engine, requests))).isEqualTo(expected);
      assertThat(engine.metrics().scheduler().preemptions()).isPositive();
    }
    try (Engine engine = open(ROOMY, 16)) {
      List<Request> shuffled = new ArrayList<>(requests);
      Collections.shuffle(shuffled, new Random(1));
      assertThat(texts(run(engine, shuffled))).isEqualTo(expected);
    }
  }

  @Test
  void severalCallersGetTheirOwnAnswers() throws Exception {
    List<Request> requests = requests(30, sampled(20));
    ExecutorService callers = Executors.newFixedThreadPool(4);
    try (Engine engine = open(ROOMY, 64)) {
      Map<Long, List<Object>> expected = texts(run(engine, requests));
      List<Future<Map<Long, List<Object>>>> results = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        results.add(callers.submit(() -> texts(run(engine, requests))));
      }
      for (var result : results) assertThat(result.get(60, TimeUnit.SECONDS)).isEqualTo(expected);
    } finally {
      callers.shutdownNow();
    }
  }

  @Test
  void cancelledCallerStopsAndOthersGoOn() throws IOException {
    AtomicBoolean cancelled = new AtomicBoolean();
    try (Engine engine = open(ROOMY, 64)) {
      Iterator<Completion> gone =
          engine.run(requests(100, sampled(200)).iterator(), cancelled::get);
      gone.next();
      cancelled.set(true);
      assertThatThrownBy(() -> gone.next()).isInstanceOf(CancellationException.class);
      run(engine, requests(5, sampled(10)));
    }
  }

  @Test
  void promptsThatCannotRunBecomeErrors() throws IOException {
    SamplingParams params = sampled(4);
    List<Request> requests =
        List.of(
            new Request(0, new int[0], params),
            new Request(1, new int[512], params),
            new Request(2, new int[] {1_000_000}, params),
            new Request(3, new int[] {-1}, params),
            new Request(4, new int[] {5}, params));
    try (Engine engine = open(ROOMY, 64)) {
      Map<Long, Completion> answers = run(engine, requests);
      assertThat(answers.get(0L).error().code()).isEqualTo(ErrorCode.EMPTY_PROMPT);
      assertThat(answers.get(1L).error().code()).isEqualTo(ErrorCode.PROMPT_TOO_LONG);
      assertThat(answers.get(1L).error().message()).contains("512 tokens", "at most 511");
      assertThat(answers.get(2L).error().code()).isEqualTo(ErrorCode.BAD_INPUT);
      assertThat(answers.get(3L).error().code()).isEqualTo(ErrorCode.BAD_INPUT);
      assertThat(answers.get(4L).error()).isNull();
    }
  }

  @Test
  void promptLargerThanMemoryBecomesAnError() throws IOException {
    long page = 2L * 2 * (2 * 64 * 32 + 1024);
    try (Engine engine = open(2 * page, 64)) {
      Completion c = run(engine, List.of(new Request(0, new int[200], sampled(4)))).get(0L);
      assertThat(c.error().code()).isEqualTo(ErrorCode.OUT_OF_MEMORY);
      assertThat(c.error().message()).contains("200 tokens", "holds 128");
    }
  }

  @Test
  void lengthsAndStopsAreKept() throws IOException {
    int[] prompt = {7, 8, 9};
    try (Engine engine = open(ROOMY, 64)) {
      SamplingParams plain = greedy(12, 0, List.of(), List.of());
      Completion free = run(engine, List.of(new Request(0, prompt, plain))).get(0L);
      assertThat(free.tokenIds()).hasSize(12);
      assertThat(free.finishReason()).isEqualTo(FinishReason.LENGTH);
      int third = free.tokenIds()[2];
      SamplingParams stop = greedy(12, 0, List.of(), List.of(third));
      Completion c = run(engine, List.of(new Request(0, prompt, stop))).get(0L);
      assertThat(c.finishReason()).isEqualTo(FinishReason.STOP);
      assertThat(c.stopReason()).isEqualTo(Integer.toString(third));
      assertThat(c.tokenIds().length).isLessThanOrEqualTo(3);
      SamplingParams later = greedy(12, 6, List.of(), List.of(third));
      Completion d = run(engine, List.of(new Request(0, prompt, later))).get(0L);
      assertThat(d.tokenIds().length).isGreaterThanOrEqualTo(6);
    }
  }

  @Test
  void stopTextEndsTheTextBeforeIt() throws IOException {
    int[] prompt = {7, 8, 9};
    try (Engine engine = open(ROOMY, 64)) {
      SamplingParams plain = greedy(40, 0, List.of(), List.of());
      String text = run(engine, List.of(new Request(0, prompt, plain))).get(0L).text();
      String stop = text.substring(3, 5);
      SamplingParams cut = greedy(40, 0, List.of("never seen", stop), List.of());
      Completion c = run(engine, List.of(new Request(0, prompt, cut))).get(0L);
      assertThat(c.text()).isEqualTo(text.substring(0, text.indexOf(stop)));
      assertThat(c.stopReason()).isEqualTo(stop);
    }
  }

  private static SamplingParams greedy(
      int most, int least, List<String> stop, List<Integer> stopTokens) {
    return new SamplingParams(most, least, 0, 1, 0, 0, 0, stop, stopTokens, 0, 0, 1, -1, true);
  }
}
