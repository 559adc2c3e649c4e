package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.RequestError;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.PoisonModel.Poison;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Partitions whose rows really end the process that computes them. */
@Timeout(600)
class GuardedProcessTest {

  private static final long SEED = Long.getLong("shadowbatch.test.seed", System.nanoTime());
  private static final String STALL = "shadowbatch.engine.stallSeconds";

  private final Random random = new Random(SEED);
  private GuardedSource source = guarded(PoisonModel::open, PartitionRuns.CARD, engine());

  private static GuardedSource guarded(
      CompletionSource.Opener opener, ModelCard model, EngineChoice choice) {
    return new GuardedSource(opener, model, choice, () -> false);
  }

  private static EngineChoice engine(String... options) {
    String[] all =
        Stream.concat(Stream.of("model=m", "output=o"), Stream.of(options)).toArray(String[]::new);
    return JobConfig.of(LocalSpark.settings(all), Instant.EPOCH).engine();
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    source.close();
    System.clearProperty(STALL);
    assertThat(ProcessHandle.current().children().filter(ProcessHandle::isAlive)).isEmpty();
    try (Stream<Path> files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
      assertThat(files.filter(f -> f.getFileName().toString().startsWith("shadowbatch-engine")))
          .isEmpty();
    }
  }

  /** What a task gives to a source: prompts are encoded as they are pulled, or have an error. */
  private final class Asked implements Iterator<Request> {
    private final int count;
    private final Map<Integer, Poison> poisons;
    private final Map<Long, RequestError> refused = new TreeMap<>();
    private int next;
    private Request pulled;

    Asked(int count, Map<Integer, Poison> poisons) {
      this.count = count;
      this.poisons = poisons;
    }

    @Override
    public boolean hasNext() {
      while (pulled == null && next < count) {
        long id = next++;
        Poison poison = poisons.get((int) id);
        try {
          int[] tokens = source.encode((poison == null ? "ask" : poison) + " secret " + id);
          pulled = new Request(id, tokens, SamplingParams.GREEDY);
        } catch (RowException e) {
          refused.put(id, new RequestError(e.code(), e.getMessage()));
        }
      }
      return pulled != null;
    }

    @Override
    public Request next() {
      Request request = pulled;
      pulled = null;
      return request;
    }
  }

  /** Computes; the rows of the poisons, and only those, must be errors, whose messages it gives. */
  private Map<Integer, String> errors(int count, Map<Integer, Poison> poisons) {
    Asked asked = new Asked(count, poisons);
    Map<Long, RequestError> out = new TreeMap<>();
    Iterator<Completion> all = source.run(asked, () -> false);
    while (all.hasNext()) {
      Completion c = all.next();
      assertThat(out).doesNotContainKey(c.id());
      out.put(c.id(), c.error());
    }
    out.putAll(asked.refused);
    assertThat(out).hasSize(count);
    Map<Integer, String> errors = new TreeMap<>();
    out.forEach(
        (id, error) -> {
          if (error == null) return;
          assertThat(error.code()).isEqualTo(ErrorCode.ENGINE_CRASH);
          assertThat(error.message()).doesNotContain("secret");
          errors.put(id.intValue(), error.message());
        });
    assertThat(errors.keySet()).as("seed %d, error rows", SEED).isEqualTo(poisons.keySet());
    return errors;
  }

  @Test
  void aCrashOfNativeCodeAtTheFirstRowCostsThatRow() {
    assertThat(errors(200, Map.of(0, Poison.SEGV)).get(0))
        .isEqualTo(
            "the engine's process ended 2 times while it computed this row alone: native code"
                + " crashed with SIGSEGV");
    assertThat(source.processes()).as("processes").isLessThanOrEqualTo(11);
  }

  @Test
  void twoPoisonsAtTheLastRowAndAtRandomCostTwoRows() {
    int other = random.nextInt(199);
    Map<Integer, String> errors = errors(200, Map.of(199, Poison.SEGV, other, Poison.HALT));
    assertThat(errors.get(other)).endsWith("exit value 9");
  }

  @Test
  void failuresOfTheEngineAndAFullHeapCostTheirRows() {
    int at = random.nextInt(50);
    Map<Integer, String> errors = errors(100, Map.of(at, Poison.HEAP, 50 + at, Poison.THROW));
    assertThat(errors.get(at)).containsAnyOf("exit value 3", "OutOfMemoryError");
    assertThat(errors.get(50 + at)).endsWith("failed with IllegalStateException");
  }

  @Test
  void aRowThatHangsIsFoundByTheBound() {
    System.setProperty(STALL, "10");
    int at = random.nextInt(2);
    assertThat(errors(2, Map.of(at, Poison.HANG)).get(at)).endsWith("it finished no step for 10 s");
  }

  @Test
  void aTextThatCrashesItsTokenizerCostsItsRow() {
    assertThat(errors(20, Map.of(7, Poison.ENCODE)).get(7)).endsWith("SIGSEGV");
  }

  @Test
  void aProcessThatSomebodyKillsBlamesNoRow() {
    Set<Long> out = new TreeSet<>();
    Iterator<Completion> all = source.run(new Asked(300, Map.of()), () -> false);
    for (int i = 0; i < 20; i++) out.add(all.next().id());
    ProcessHandle.current().children().forEach(ProcessHandle::destroyForcibly);
    while (all.hasNext()) {
      Completion c = all.next();
      assertThat(c.error()).isNull();
      out.add(c.id());
    }
    assertThat(out).hasSize(300);
    assertThat(source.processes()).isEqualTo(2);
  }

  /** Goal: what a process answers are the bits that the executor's own engine gives. */
  @Test
  void aRealModelGivesTheSameBits() throws IOException {
    EngineChoice choice = engine("device-memory=16m", "batch-tokens=64", "threads=1");
    ModelCard card = ModelReader.card(LocalSpark.model().toString(), choice);
    CompletionSource here = ExecutorEngine.get(card, choice);
    source = guarded(ExecutorEngine::get, card, choice);
    assertThat(source.contextTokens()).isEqualTo(here.contextTokens());
    assertThat(source.token(9)).isEqualTo(here.token(9));
    assertThat(source.encode("Ünï <|x|> \ud83d\ude00\n"))
        .isEqualTo(here.encode("Ünï <|x|> \ud83d\ude00\n"));
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < 24; i++) {
      int[] tokens = random.ints(1 + random.nextInt(80), 0, 250).toArray();
      SamplingParams params = i % 2 == 0 ? SamplingParams.GREEDY.withLengths(0, 20) : sampled();
      requests.add(new Request(i, tokens, params, KvMode.DENSE));
    }
    assertThat(answers(source, requests)).as("seed %d", SEED).isEqualTo(answers(here, requests));
    assertThat(source.metrics().scheduler().decodeTokens()).isPositive();
    assertThat(source.metrics().computeSeconds()).isPositive();
  }

  private SamplingParams sampled() {
    return new SamplingParams(
        20,
        2,
        0.9,
        0.95,
        40,
        0,
        random.nextLong(),
        List.of("q\ud800"),
        List.of(3),
        0.1,
        0,
        1.1,
        3,
        true);
  }

  private static Map<Long, List<Object>> answers(CompletionSource from, List<Request> requests) {
    Map<Long, List<Object>> answers = new TreeMap<>();
    Iterator<Completion> all = from.run(requests.iterator(), () -> false);
    while (all.hasNext()) {
      Completion c = all.next();
      List<Integer> tokens = Arrays.stream(c.tokenIds()).boxed().toList();
      List<Object> fields = new ArrayList<>(List.of(tokens, c.text(), c.finishReason()));
      fields.add(c.stopReason());
      fields.add(c.logprobs());
      answers.put(c.id(), fields);
    }
    return answers;
  }

  @Test
  void aModelThatCannotBeOpenedIsRefusedAsInAnExecutor() {
    ModelCard none = PartitionRuns.CARD.at("/no/such/model.gguf");
    source = guarded(ExecutorEngine::get, none, engine("threads=1"));
    assertThatThrownBy(() -> source.contextTokens())
        .isInstanceOf(JobException.class)
        .hasMessageContaining("--model /no/such/model.gguf: does not exist");
  }
}
