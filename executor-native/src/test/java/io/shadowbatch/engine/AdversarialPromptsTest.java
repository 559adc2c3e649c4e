package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.schedule.PrefixReuse;
import io.shadowbatch.schedule.SchedulerMetrics;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Prompts that share in the ways that careless reuse loses or mixes up. Every prompt gets exactly
 * one answer, the same as without reuse, with much memory and with hardly any, sorted or not.
 */
@Timeout(120)
class AdversarialPromptsTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261125L);

  /** Of the tiny model: layers, KV heads, blocks of 8-bit keys and values. */
  private static final long PAGE = 2L * 2 * (2 * 64 * 32 + 768);

  private static final int ROOMY = 600;
  private static final int OUT = 12;

  @TempDir Path folder;
  private final Random random = new Random(SEED);
  private Path model;

  @BeforeEach
  void writeModel() throws IOException {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    model = TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
  }

  private int[] tokens(int count) {
    return random.ints(count, 0, 250).toArray();
  }

  private static int[] joined(int[] prefix, int... own) {
    int[] all = Arrays.copyOf(prefix, prefix.length + own.length);
    System.arraycopy(own, 0, all, prefix.length, own.length);
    return all;
  }

  /** Generated tokens by prompt, and what the engine did for them. */
  private record Outcome(Map<Long, List<Integer>> answers, SchedulerMetrics done) {}

  /** Runs prompts under all switches, memories and orders; returns what reuse did with room. */
  private SchedulerMetrics check(String what, List<int[]> prompts, int fewPages)
      throws IOException {
    List<Request> requests = new ArrayList<>();
    SamplingParams params =
        new SamplingParams(OUT, OUT, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, true);
    for (int[] prompt : prompts) requests.add(new Request(requests.size(), prompt, params));
    EngineConfig alone = config(ROOMY).with(PrefixReuse.OFF, PrefixAttention.SEPARATE);
    Map<Long, List<Integer>> expected = run(what, alone, requests).answers();
    SchedulerMetrics roomy = null;
    for (PrefixReuse reuse : PrefixReuse.values()) {
      if (reuse == PrefixReuse.OFF) continue;
      for (PrefixAttention attention : PrefixAttention.values()) {
        Outcome sorted = run(what, config(ROOMY).with(reuse, attention), requests);
        assertThat(sorted.answers()).as("%s, %s, %s", what, reuse, attention).isEqualTo(expected);
        roomy = sorted.done();
        List<Request> shuffled = new ArrayList<>(requests);
        Collections.shuffle(shuffled, random);
        Outcome tight = run(what, config(fewPages).with(reuse, attention), shuffled);
        assertThat(tight.answers())
            .as("%s, %s, %s, %d pages, shuffled", what, reuse, attention, fewPages)
            .isEqualTo(expected);
      }
    }
    return roomy;
  }

  private EngineConfig config(int pages) {
    int batchTokens = 16 + random.nextInt(150);
    return new EngineConfig(model, "cpu", 2, pages * PAGE, batchTokens, 0, KvCodec.INT8, folder);
  }

  private static Outcome run(String what, EngineConfig config, List<Request> requests)
      throws IOException {
    Map<Long, List<Integer>> answers = new TreeMap<>();
    try (Engine engine = Engine.open(config)) {
      Iterator<Completion> completions = engine.run(requests.iterator(), () -> false);
      while (completions.hasNext()) {
        Completion c = completions.next();
        assertThat(c.error()).as(what).isNull();
        List<Integer> tokens = Arrays.stream(c.tokenIds()).boxed().toList();
        assertThat(tokens).as(what).hasSize(OUT);
        assertThat(answers.put(c.id(), tokens)).as("%s: one answer for %d", what, c.id()).isNull();
      }
      assertThat(answers).as(what).hasSize(requests.size());
      return new Outcome(answers, engine.metrics().scheduler());
    }
  }

  @Test
  void equalPromptsGetEqualAnswersAndComputeLittle() throws IOException {
    for (int length : new int[] {2, 64, 65, 150}) {
      int[] prompt = tokens(length);
      List<int[]> prompts = new ArrayList<>(Collections.nCopies(40, prompt));
      SchedulerMetrics done = check("40 equal prompts of " + length, prompts, 6);
      assertThat(done.prefillTokens()).as("%d tokens", length).isLessThan(40L * length);
      if (length > 64)
        assertThat(done.prefillTokens()).isLessThan(length + 40L * (length % 64 + 1));
    }
  }

  @Test
  void chainsOfPrefixesOfPrefixesKeepEveryPrompt() throws IOException {
    int[] longest = tokens(300);
    for (int step : new int[] {1, 7, 64}) {
      List<int[]> prompts = new ArrayList<>();
      for (int n = step; n <= 60 * step && n <= longest.length; n += step) {
        prompts.add(Arrays.copyOf(longest, n));
      }
      assertThat(check("chain of steps of " + step, prompts, 7).reusedTokens()).isPositive();
      Collections.reverse(prompts);
      assertThat(check("reversed chain of steps of " + step, prompts, 7).reusedTokens())
          .isPositive();
    }
  }

  @Test
  void promptMayEqualThePrefixOfItsGroup() throws IOException {
    for (int length : new int[] {63, 64, 128, 130}) {
      int[] prefix = tokens(length);
      List<int[]> prompts = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        prompts.add(joined(prefix, tokens(1 + 3 * i)));
        if (i % 4 == 1) prompts.add(prefix.clone());
      }
      assertThat(check("groups with their prefix of " + length, prompts, 6).reusedTokens())
          .isPositive();
    }
  }

  @Test
  void promptsOfOneTokenAreAnswered() throws IOException {
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < 60; i++) prompts.add(new int[] {i % 25});
    SchedulerMetrics done = check("prompts of one token", prompts, 3);
    assertThat(done.reusedTokens()).as("the last token is always computed").isZero();
  }

  @Test
  void nearlyAllOfTheContextMayBeShared() throws IOException {
    int[] prefix = tokens(TinyModels.CONTEXT - OUT - 9);
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < 16; i++) prompts.add(joined(prefix, tokens(1 + i % 8)));
    SchedulerMetrics done = check("a prefix of nearly all of the context", prompts, 12);
    assertThat(done.prefillTokens()).isLessThan(3L * prefix.length);
  }

  /** Strangers differ in their first token only: nothing behind it may be taken over. */
  @Test
  void sharedEndsAreNoPrefixes() throws IOException {
    int[] end = tokens(140);
    List<int[]> prompts = IntStream.range(0, 20).mapToObj(i -> joined(new int[] {i}, end)).toList();
    SchedulerMetrics done = check("prompts that end alike", prompts, 6);
    assertThat(done.reusedTokens()).isZero();
  }
}
