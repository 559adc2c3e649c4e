package io.shadowbatch.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.KvUsage;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Seeded workloads against the real scheduler, index and store, with a model of hashes. */
@Timeout(300)
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
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 100);
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
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 200);
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
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 400);
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
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 400);
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
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 100);
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
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 100);
    Sequence large = new Sequence(0, new Request(0, new int[100], greedy(29)));
    assertThatThrownBy(() -> scheduler.add(large)).hasMessageContaining("room for 128");
  }

  @Test
  void sequencesThatFitNoLongerAreNamedAndTheOthersGoOn() {
    FakeRunner runner = new FakeRunner(100, 10);
    AtomicInteger pages = new AtomicInteger(10);
    KvStore store = shrinking(runner.store, pages);
    Scheduler scheduler = new Scheduler(store, new OldestFeedPolicy(), 100);
    Sequence large = new Sequence(0, new Request(0, new int[300], greedy(20)));
    Sequence small = new Sequence(1, new Request(1, new int[20], greedy(20)));
    scheduler.add(large);
    scheduler.add(small);
    pages.set(3);
    StepPlan plan = scheduler.plan();
    assertThat(plan.pieces()).isEmpty();
    assertThat(scheduler.unfit()).containsExactly(large);
    scheduler.remove(large);
    drain(scheduler, runner);
    assertThat(small.generated()).isEqualTo(20);
  }

  /** The store, as if it had so many pages. */
  private static KvStore shrinking(KvStore store, AtomicInteger pages) {
    return (KvStore)
        Proxy.newProxyInstance(
            KvStore.class.getClassLoader(),
            new Class<?>[] {KvStore.class},
            (proxy, method, args) -> {
              KvUsage usage = store.usage();
              int left = pages.get() - (usage.pages() - usage.freePages());
              return switch (method.getName()) {
                case "usage" ->
                    new KvUsage(pages.get(), left, usage.pageBytes(), usage.pageTokens(), 0, 0, 0);
                case "reserve" ->
                    usage.pagesFor((int) args[1]) <= left && (boolean) method.invoke(store, args);
                default -> method.invoke(store, args);
              };
            });
  }

  @Test
  void theOldestFeedGoesFirstAndANewerOneFillsItsTail() {
    FakeRunner runner = new FakeRunner(64, 200);
    Scheduler scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), 64);
    Random random = new Random(7);
    for (int i = 0; i < 8; i++) {
      int[] tokens = random.ints(32, 0, FakeRunner.VOCABULARY).toArray();
      scheduler.add(new Sequence(i, new Request(i, tokens, greedy(4)), 1 - i % 2));
    }
    Set<Integer> admitted = new LinkedHashSet<>();
    while (scheduler.active() > 0) {
      StepPlan plan = scheduler.plan();
      for (StepPlan.Piece piece : plan.pieces()) {
        admitted.add(piece.sequence().id());
      }
      runner.compute(plan);
      scheduler.computed(plan);
      for (StepPlan.Piece piece : plan.pieces()) {
        Sequence s = piece.sequence();
        if (s.remaining() > 0) continue;
        scheduler.append(s, 0);
        if (s.generated() == 4) scheduler.finish(s);
      }
    }
    assertThat(admitted).containsExactly(1, 3, 5, 7, 0, 2, 4, 6);
  }

  @Test
  void admissionLeavesRoomForWhatFinishedSequencesTell() {
    OutputLengths lengths = new OutputLengths();
    Reservation reservation = new Reservation(lengths, 64);
    Sequence s = new Sequence(0, new Request(0, new int[64], greedy(640)));
    assertThat(lengths.remaining(s)).as("nothing is known").isEqualTo(128);
    assertThat(reservation.pages(s)).as("half of it").isEqualTo(1);
    for (int i = 0; i < 160; i++) lengths.finished(s.request(), 10 * (1 + i % 16));
    assertThat(lengths.remaining(s)).as("70 % are not longer").isEqualTo(120);
    for (int i = 0; i < 4; i++) reservation.preempted();
    assertThat(reservation.pages(s)).as("all of it after preemptions").isEqualTo(2);
    for (int i = 0; i < 50 * 300; i++) reservation.quietStep();
    assertThat(lengths.remaining(s) * 0.1).isLessThan(64);
    assertThat(reservation.pages(s)).as("a tenth in quiet times").isEqualTo(1);
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

  static SamplingParams greedy(int maxTokens) {
    return SamplingParams.GREEDY.withLengths(0, maxTokens);
  }
}
