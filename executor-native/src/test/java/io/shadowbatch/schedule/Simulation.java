package io.shadowbatch.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kv.KvUsage;
import io.shadowbatch.kv.PrefixIndex;
import io.shadowbatch.request.Request;
import io.shadowbatch.schedule.StepPlan.Bound;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * One workload: a tree of prompts of several feeds that arrive, run, are preempted, cancelled and
 * finished, on a scheduler, an index and a store that are real, with a model of hashes. Checks
 * after every plan and at the end what must always hold.
 */
final class Simulation {
  private final RandomGenerator random;
  private final int pages;
  private final double preempted;
  private final boolean cancels;
  private final boolean memoryFails;
  private final FakeRunner runner;
  private final Scheduler scheduler;
  private final List<Sequence> arriving = new ArrayList<>();
  private final Map<Integer, Sequence> live = new HashMap<>();
  private final Set<Long> answered = new HashSet<>();
  private int cancelled;

  Simulation(RandomGenerator random) {
    this.random = random;
    int budget = 4 + random.nextInt(120);
    pages = 4 + random.nextInt(random.nextBoolean() ? 6 : 60);
    preempted = random.nextInt(3) == 0 ? 0.5 : 0;
    cancels = random.nextInt(4) == 0;
    memoryFails = random.nextInt(8) == 0;
    runner = new FakeRunner(budget, pages);
    PrefixReuse reuse = PrefixReuse.values()[random.nextInt(PrefixReuse.values().length)];
    scheduler = new Scheduler(runner.store, new OldestFeedPolicy(), budget, reuse, 0);
    int count = 1 + random.nextInt(12);
    int feeds = 1 + random.nextInt(3);
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      prompts.add(prompt(prompts));
      var params = SchedulerSimulationTest.greedy(1 + random.nextInt(40));
      Request request = new Request(i, prompts.get(i), params);
      arriving.add(new Sequence(i, request, random.nextInt(feeds)));
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
      disturb();
      if (scheduler.active() > 0) step();
      assertThat(++steps).as("steps").isLessThan(20_000);
    }
    assertThat(answered.size() + cancelled).isEqualTo(total);
    checkCounts();
    int free = runner.store.usage().freePages();
    assertThat(free + scheduler.idlePages()).isEqualTo(runner.store.usage().pages());
    scheduler.clearPrefixes();
    assertThat(runner.store.usage().freePages()).isEqualTo(runner.store.usage().pages());
    assertThat(runner.store.usage().sequences()).isZero();
  }

  private void arrive() {
    Sequence s = arriving.remove(0);
    live.put(s.id(), s);
    scheduler.add(s);
  }

  private void disturb() {
    List<Sequence> running = scheduler.running();
    if (running.size() > 1 && random.nextDouble() < preempted) {
      // The oldest is left alone, as the scheduler does: without reuse nothing might ever end.
      scheduler.preempt(running.get(1 + random.nextInt(running.size() - 1)));
    }
    if (cancels && !live.isEmpty() && random.nextInt(20) == 0) {
      Sequence victim = live.values().iterator().next();
      scheduler.remove(victim);
      live.remove(victim.id());
      cancelled++;
    }
  }

  private void step() {
    List<Sequence> before = List.copyOf(scheduler.running());
    List<Sequence> decoding = before.stream().filter(Sequence::decoding).toList();
    long preemptions = scheduler.metrics().preemptions();
    StepPlan plan = scheduler.plan();
    boolean pressed = scheduler.metrics().preemptions() > preemptions;
    checkPlan(plan, decoding);
    if (!pressed) checkWorkConservation(plan);
    checkMemory();
    if (!before.isEmpty() && preempted == 0 && !cancels && before.get(0).computed() > 0) {
      assertThat(before.get(0).state())
          .as("the oldest keeps its memory")
          .isEqualTo(Sequence.State.RUNNING);
    }
    if (memoryFails && random.nextInt(10) == 0 && scheduler.relieve()) return;
    runner.compute(plan);
    scheduler.computed(plan);
    for (StepPlan.Piece piece : plan.pieces()) {
      Sequence s = piece.sequence();
      if (s.remaining() > 0) continue;
      scheduler.append(s, FakeRunner.next(s.tokens(), s.length()));
      if (s.generated() == s.request().params().maxTokens()) finish(s);
    }
  }

  private void checkPlan(StepPlan plan, List<Sequence> decoding) {
    assertThat(plan.tokens()).isBetween(1, scheduler.budget());
    assertThat(plan.pieces().stream().mapToInt(StepPlan.Piece::tokens).sum())
        .isEqualTo(plan.tokens());
    List<Sequence> planned = plan.pieces().stream().map(StepPlan.Piece::sequence).toList();
    assertThat(planned).doesNotHaveDuplicates();
    for (Sequence s : decoding) {
      boolean kept = s.state() == Sequence.State.RUNNING && s.decoding();
      assertThat(!kept || planned.contains(s)).as("a decoding sequence advances").isTrue();
    }
  }

  /** A step with room is small for a reason that can be counted from outside. */
  private void checkWorkConservation(StepPlan plan) {
    if (plan.tokens() >= scheduler.budget() / 4 || scheduler.waiting().isEmpty()) return;
    if (scheduler.running().size() >= scheduler.budget()) return;
    assertThat(plan.bound()).isIn(Bound.MEMORY, Bound.COMING_PAGES);
    if (plan.bound() != Bound.MEMORY) return;
    KvUsage usage = runner.store.usage();
    int wanted = 0;
    for (Sequence s : scheduler.running()) wanted += mostPages(s) - usage.pagesFor(s.length());
    wanted += scheduler.waiting().stream().mapToInt(this::mostPages).max().orElseThrow();
    assertThat(wanted)
        .as("pages that all running and one more may come to want")
        .isGreaterThan(usage.freePages());
  }

  private int mostPages(Sequence s) {
    int tokens = s.promptLength() + s.request().params().maxTokens();
    return runner.store.usage().pagesFor(tokens);
  }

  /** Pages of sequences, of prefixes and free ones are all pages. */
  private void checkMemory() {
    KvUsage usage = runner.store.usage();
    Set<PrefixIndex.Node> shared = Collections.newSetFromMap(new IdentityHashMap<>());
    int own = 0;
    for (Sequence s : scheduler.running()) {
      shared.addAll(s.pages());
      own += usage.pagesFor(s.length()) - s.pages().size();
    }
    assertThat(own + shared.size() + scheduler.idlePages() + usage.freePages())
        .as("pages of their own, shared, idle, free")
        .isEqualTo(usage.pages());
  }

  private void finish(Sequence s) {
    int[] alone = Arrays.copyOf(s.request().tokens(), s.length());
    for (int n = s.promptLength(); n < alone.length; n++) alone[n] = FakeRunner.next(alone, n);
    assertThat(Arrays.copyOf(s.tokens(), s.length())).isEqualTo(alone);
    assertThat(answered.add(s.request().id())).as("answered once").isTrue();
    live.remove(s.id());
    scheduler.finish(s);
  }

  /** Every token is computed once, but for those reused and those computed again and counted. */
  private void checkCounts() {
    if (cancelled > 0) return;
    SchedulerMetrics m = scheduler.metrics();
    assertThat(m.prefillTokens())
        .isEqualTo(m.promptTokens() - m.reusedTokens() + m.recomputedTokens());
    assertThat(m.prefillTokens() + m.decodeTokens()).isEqualTo(runner.computedRows());
    assertThat(m.recomputedTokens() == 0 || m.preemptions() > 0).isTrue();
  }
}
