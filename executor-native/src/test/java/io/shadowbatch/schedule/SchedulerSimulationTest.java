package io.shadowbatch.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Seeded workloads against the real scheduler, index and store, with a model of hashes. */
class SchedulerSimulationTest {
  private static final int WORKLOADS = Integer.getInteger("simulations", 2000);
  private static final long SEED = Long.getLong("seed", 20261121);

  @Test
  void everyWorkloadKeepsAllInvariants() {
    System.out.printf("%d workloads from seed %d (-Dseed, -Dsimulations)%n", WORKLOADS, SEED);
    for (int i = 0; i < WORKLOADS; i++) {
      long seed = SEED + i;
      try {
        new Simulation(new Random(seed)).run();
      } catch (Throwable t) {
        throw new AssertionError(
            "workload of seed " + seed + " failed: -Dsimulations=1 -Dseed=" + seed, t);
      }
    }
  }

  @Test
  void sharedPrefixIsComputedOnceWhenMemoryAllows() {
    FakeRunner runner = new FakeRunner(100, 200);
    Scheduler scheduler = new Scheduler(runner.store, new FifoPolicy(), 100);
    int[] prefix = new Random(1).ints(320, 0, FakeRunner.VOCABULARY).toArray();
    int own = 0;
    for (int i = 0; i < 8; i++) {
      int[] tokens = Arrays.copyOf(prefix, 330 + i);
      Arrays.fill(tokens, 320, tokens.length, i);
      own += tokens.length - 320;
      scheduler.add(new Sequence(i, new Request(i, tokens, greedy(3))));
    }
    drain(scheduler, runner);
    assertThat(scheduler.metrics().prefillTokens()).isEqualTo(320 + own);
    assertThat(scheduler.metrics().reusedTokens()).isEqualTo(7 * 320);
  }

  @Test
  void partOfAPageIsReusedByCopy() {
    FakeRunner runner = new FakeRunner(200, 50);
    Scheduler scheduler = new Scheduler(runner.store, new FifoPolicy(), 200);
    int[] first = new Random(2).ints(150, 0, FakeRunner.VOCABULARY).toArray();
    scheduler.add(new Sequence(0, new Request(0, first, greedy(1))));
    drain(scheduler, runner);
    int[] second = first.clone();
    second[100] = (second[100] + 1) % FakeRunner.VOCABULARY;
    scheduler.add(new Sequence(1, new Request(1, second, greedy(1))));
    drain(scheduler, runner);
    assertThat(scheduler.metrics().reusedTokens()).isEqualTo(100);
  }

  @Test
  void siblingsThatArriveTogetherShareTheBegunPageToo() {
    FakeRunner runner = new FakeRunner(400, 200);
    Scheduler scheduler = new Scheduler(runner.store, new FifoPolicy(), 400);
    int[] prefix = new Random(3).ints(100, 0, FakeRunner.VOCABULARY).toArray();
    for (int i = 0; i < 8; i++) {
      int[] tokens = Arrays.copyOf(prefix, 110);
      Arrays.fill(tokens, 100, 110, i);
      scheduler.add(new Sequence(i, new Request(i, tokens, greedy(3))));
    }
    drain(scheduler, runner);
    assertThat(scheduler.metrics().prefillTokens()).isEqualTo(100 + 8 * 10);
  }

  @Test
  void shortPromptIsReusedByALongerOneAndByItsTwin() {
    FakeRunner runner = new FakeRunner(400, 200);
    Scheduler scheduler = new Scheduler(runner.store, new FifoPolicy(), 400);
    int[] prompt = new Random(4).ints(60, 0, FakeRunner.VOCABULARY).toArray();
    for (int length : List.of(30, 60, 60)) {
      Request request = new Request(length, Arrays.copyOf(prompt, length), greedy(2));
      scheduler.add(new Sequence((int) (10 * length + scheduler.active()), request));
      drain(scheduler, runner);
    }
    assertThat(scheduler.metrics().prefillTokens()).isEqualTo(30 + 30 + 1);
  }

  @Test
  void whoWaitsForAPageLetsOthersGoFirst() {
    FakeRunner runner = new FakeRunner(100, 200);
    Scheduler scheduler = new Scheduler(runner.store, new FifoPolicy(), 100);
    int[] tokens = new Random(5).ints(40, 0, FakeRunner.VOCABULARY).toArray();
    int[] other = new Random(6).ints(40, 0, FakeRunner.VOCABULARY).toArray();
    List<int[]> prompts = List.of(tokens, tokens.clone(), other);
    for (int i = 0; i < 3; i++) {
      scheduler.add(new Sequence(i, new Request(i, prompts.get(i), greedy(1))));
    }
    List<Integer> planned =
        scheduler.plan().pieces().stream().map(piece -> piece.sequence().id()).toList();
    assertThat(planned).containsExactly(0, 2);
  }

  @Test
  void capLimitsWhatRunsAndLosesNobody() {
    FakeRunner runner = new FakeRunner(100, 200);
    Scheduler scheduler = new Scheduler(runner.store, view -> 0, 100, PrefixReuse.LRU, 3);
    for (int i = 0; i < 10; i++) {
      scheduler.add(new Sequence(i, new Request(i, new int[] {i, 1, 2}, greedy(5))));
    }
    int most = 0;
    while (scheduler.active() > 0) {
      step(scheduler, runner);
      most = Math.max(most, scheduler.running().size());
    }
    assertThat(most).isEqualTo(3);
    assertThat(scheduler.metrics().decodeTokens()).isEqualTo(10 * 4);
  }

  @Test
  void sequenceThatCanNeverFitIsRefused() {
    FakeRunner runner = new FakeRunner(100, 2);
    Scheduler scheduler = new Scheduler(runner.store, new FifoPolicy(), 100);
    Sequence large = new Sequence(0, new Request(0, new int[100], greedy(29)));
    assertThatThrownBy(() -> scheduler.add(large)).hasMessageContaining("room for 128");
  }

  private static void drain(Scheduler scheduler, FakeRunner runner) {
    while (scheduler.active() > 0) step(scheduler, runner);
  }

  private static void step(Scheduler scheduler, FakeRunner runner) {
    StepPlan plan = scheduler.plan();
    runner.compute(plan);
    scheduler.computed(plan);
    for (StepPlan.Piece piece : plan.pieces()) {
      Sequence s = piece.sequence();
      if (s.remaining() > 0) continue;
      scheduler.append(s, FakeRunner.next(s.tokens(), s.length()));
      if (s.generated() == s.request().params().maxTokens()) scheduler.remove(s);
    }
  }

  private static SamplingParams greedy(int maxTokens) {
    return SamplingParams.GREEDY.withLengths(0, maxTokens);
  }

  /** One workload: a tree of prompts that arrive, run, are preempted, cancelled and finished. */
  private static final class Simulation {
    private final Random random;
    private final int budget;
    private final int pages;
    private final FakeRunner runner;
    private final Scheduler scheduler;
    private final List<Request> arriving = new ArrayList<>();
    private final Map<Integer, Sequence> live = new HashMap<>();
    private final Set<Long> answered = new HashSet<>();
    private final boolean disturb;
    private int cancelled;

    Simulation(Random random) {
      this.random = random;
      budget = 4 + random.nextInt(120);
      pages = 4 + random.nextInt(random.nextBoolean() ? 6 : 60);
      disturb = random.nextInt(3) == 0;
      runner = new FakeRunner(budget, pages);
      scheduler = new Scheduler(runner.store, new FifoPolicy(), budget);
      int count = 1 + random.nextInt(12);
      List<int[]> prompts = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        prompts.add(prompt(prompts));
        arriving.add(new Request(i, prompts.get(i), greedy(1 + random.nextInt(40))));
      }
    }

    /** Random tokens behind a random part of an earlier prompt. */
    private int[] prompt(List<int[]> earlier) {
      int longest = Math.min(200, pages * 64 - 50);
      int[] tokens = random.ints(1 + random.nextInt(longest), 0, FakeRunner.VOCABULARY).toArray();
      if (!earlier.isEmpty() && random.nextInt(4) > 0) {
        int[] other = earlier.get(random.nextInt(earlier.size()));
        int shared = random.nextInt(Math.min(other.length, tokens.length) + 1);
        System.arraycopy(other, 0, tokens, 0, shared);
        if (random.nextInt(5) == 0) return other.clone();
      }
      return tokens;
    }

    void run() {
      int total = arriving.size();
      int steps = 0;
      while (!arriving.isEmpty() || scheduler.active() > 0) {
        while (!arriving.isEmpty() && (scheduler.active() == 0 || random.nextBoolean())) arrive();
        if (disturb) disturb();
        if (scheduler.active() > 0) step();
        assertThat(++steps).as("steps").isLessThan(20_000);
      }
      assertThat(answered.size() + cancelled).isEqualTo(total);
      int free = runner.store.usage().freePages();
      assertThat(free + scheduler.idlePages()).isEqualTo(pages);
      scheduler.clearPrefixes();
      assertThat(runner.store.usage().freePages()).isEqualTo(pages);
      assertThat(runner.store.usage().sequences()).isZero();
    }

    private void arrive() {
      Request request = arriving.remove(0);
      Sequence s = new Sequence((int) request.id(), request);
      live.put(s.id(), s);
      scheduler.add(s);
    }

    private void disturb() {
      if (!scheduler.running().isEmpty() && random.nextInt(3) == 0) {
        int i = random.nextInt(scheduler.running().size());
        scheduler.preempt(scheduler.running().get(i));
      }
      if (!live.isEmpty() && random.nextInt(20) == 0) {
        Sequence victim = live.values().iterator().next();
        scheduler.remove(victim);
        live.remove(victim.id());
        cancelled++;
      }
    }

    private void step() {
      List<Sequence> before = List.copyOf(scheduler.running());
      List<Sequence> decoding = before.stream().filter(Sequence::decoding).toList();
      StepPlan plan = scheduler.plan();
      assertThat(plan.tokens()).isBetween(1, budget);
      assertThat(plan.pieces().stream().mapToInt(StepPlan.Piece::tokens).sum())
          .isEqualTo(plan.tokens());
      List<Sequence> planned = plan.pieces().stream().map(StepPlan.Piece::sequence).toList();
      assertThat(planned).doesNotHaveDuplicates();
      for (Sequence s : decoding) {
        boolean kept = s.state() == Sequence.State.RUNNING && s.decoding();
        assertThat(!kept || planned.contains(s)).as("a decoding sequence advances").isTrue();
      }
      if (!before.isEmpty() && !disturb) {
        assertThat(before.get(0).state())
            .as("the oldest keeps its memory")
            .isEqualTo(Sequence.State.RUNNING);
      }
      runner.compute(plan);
      scheduler.computed(plan);
      for (Sequence s : planned) {
        if (s.remaining() > 0) continue;
        scheduler.append(s, FakeRunner.next(s.tokens(), s.length()));
        if (s.generated() == s.request().params().maxTokens()) finish(s);
      }
    }

    private void finish(Sequence s) {
      int[] alone = Arrays.copyOf(s.request().tokens(), s.length());
      for (int n = s.promptLength(); n < alone.length; n++) alone[n] = FakeRunner.next(alone, n);
      assertThat(Arrays.copyOf(s.tokens(), s.length())).isEqualTo(alone);
      assertThat(answered.add(s.request().id())).as("answered once").isTrue();
      live.remove(s.id());
      scheduler.remove(s);
    }
  }
}
