package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.spark.Forecast.Limits;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PlanFacts.Fact;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What rows are said to cost, against counting it token by token. */
class ForecastTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261125L);

  private static final Sharing SHARING = new Sharing(PrefixPlan.ON, Dedup.AUTO, 0);

  /** Prompts whose bytes are tokens, and which share prefixes. */
  private static List<Prepared> sorted(Random random) {
    List<Prepared> rows = new ArrayList<>();
    String[] prefixes = new String[4];
    for (int i = 0; i < prefixes.length; i++) {
      prefixes[i] = ("" + (char) ('a' + i)).repeat(100 * random.nextInt(9));
    }
    for (int i = 0; i < 30; i++) {
      String own = random.nextInt(4) == 0 ? "same" : "own " + i;
      String prompt = prefixes[random.nextInt(prefixes.length)] + own;
      byte[] bytes = prompt.getBytes(StandardCharsets.UTF_8);
      int samples = 1 + random.nextInt(2);
      String params = "{\"max_tokens\": " + (own.equals("same") ? 7 : 1 + i) + "}";
      String key = prompt + params + samples;
      byte[] signature = PrefixSignature.of(bytes);
      rows.add(new Prepared(null, key, bytes, params, signature, samples, null));
    }
    rows.sort(
        (a, b) -> {
          int order = Arrays.compareUnsigned(a.signature(), b.signature());
          return order != 0 ? order : a.key().compareTo(b.key());
        });
    return rows;
  }

  @Test
  void tokensAndPairsAreThoseThatCountingGives() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    for (int round = 0; round < 100; round++) {
      List<Prepared> rows = sorted(random);
      FactTally tally = new FactTally(SHARING, 1, 4096);
      rows.forEach(tally::add);
      long computed = 0;
      long answers = 0;
      long batched = 0;
      long lone = 0;
      Prepared before = null;
      for (Prepared row : rows) {
        int length = row.prompt().length;
        int answer = RowParams.maxTokens(row.params());
        boolean copy = before != null && Repeats.same(before, row);
        for (int sample = 0; sample < (copy ? 0 : row.samples()); sample++) {
          int reused = sample > 0 ? length - 1 : Math.min(shared(before, row), length - 1);
          computed += length - reused;
          answers += answer;
          for (int at = reused; at < length + answer - 1; at++) {
            batched += at < length ? at + 1 : reused;
            lone += at < length ? 0 : at + 1 - reused;
          }
        }
        before = row;
      }
      PlanFacts facts = tally.facts();
      assertThat(facts.of(Fact.COMPUTED_TOKENS)).isEqualTo(computed);
      assertThat(facts.of(Fact.NEW_TOKENS)).isEqualTo(answers);
      assertThat(facts.of(Fact.BATCHED_PAIRS)).isEqualTo(batched);
      assertThat(facts.of(Fact.LONE_PAIRS)).isEqualTo(lone);
    }
  }

  /** Bytes that both prompts begin with. */
  private static int shared(Prepared before, Prepared row) {
    if (before == null) return 0;
    int common = 0;
    int least = Math.min(before.prompt().length, row.prompt().length);
    while (common < least && before.prompt()[common] == row.prompt()[common]) common++;
    return common;
  }

  @Test
  void secondsArePaidForEachPartOfTheWork() {
    PlanFacts facts = new PlanFacts();
    facts.add(Fact.COMPLETIONS, 64);
    facts.add(Fact.COMPUTED_TOKENS, 6400);
    facts.add(Fact.NEW_TOKENS, 640);
    facts.add(Fact.LONGEST_ANSWER, 10);
    facts.add(Fact.BATCHED_PAIRS, 1000);
    facts.add(Fact.LONE_PAIRS, 500);
    StepCosts costs = new StepCosts(1, 0.1, 0.01, 0.001, 0.0001);
    // 7040 tokens in steps of 64 at most are 110; the last token of an answer is no input.
    double expected = 110 + 0.1 * (7040 - 64) + 0.01 * 640 + 0.001 * 1000 + 0.0001 * 500;
    Forecast roomy = Forecast.of(facts, costs, new Limits(64, 1 << 30, 100));
    assertThat(roomy.seconds()).isCloseTo(expected, within(1e-6));
    assertThat(roomy.kvBytesPeak()).isEqualTo(100 * (6400 + 640));
    // Memory for 2048 tokens holds 15 sequences of 137 each: 640 answers take 42.8 steps of 15.
    Forecast tight = Forecast.of(facts, costs, new Limits(64, 204_800, 100));
    assertThat(tight.kvBytesPeak()).isEqualTo(204_800);
    Forecast narrow = Forecast.of(facts, costs, new Limits(64, 27_400, 100));
    assertThat(narrow.seconds()).as("two at a time").isCloseTo(expected + 210, within(1e-6));
    assertThat(tight.seconds()).isBetween(roomy.seconds(), narrow.seconds());
  }
}
