package io.shadowbatch.schedule;

import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.PrefixIndex;
import io.shadowbatch.schedule.SchedulingPolicy.SchedulerView;
import io.shadowbatch.schedule.StepPlan.Bound;
import io.shadowbatch.schedule.StepPlan.Piece;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Decides what each step computes: decodes first, then prompts in chunks up to the token budget,
 * admission by memory. When memory runs out it gives up idle prefixes, then takes it from the
 * newest sequence of the newest feed, which computes its tokens again later; never from the oldest,
 * so that something always advances. Does not compute anything.
 */
public final class Scheduler {
  /** So many sequences are passed over at most: what follows would take memory ahead of them. */
  private static final int PASSED_MAX = 256;

  private static final int BUDGET_LEAST = 16;
  private static final int ROUNDS_MAX = 3;
  private static final double KEPT_SHARE = 0.9;

  private final KvStore store;
  private final SequenceMemory memory;
  private final SchedulingPolicy policy;
  private final OutputLengths lengths = new OutputLengths();
  private final Reservation reservation;
  private final int sequencesMax;
  private final List<Sequence> waiting = new ArrayList<>();
  private final List<Sequence> running = new ArrayList<>(); // by feed, then admission
  private final Map<Integer, Integer> planned = new HashMap<>();
  private final SchedulerCounts counts = new SchedulerCounts();
  private int budget;
  private int rounds;
  private Bound bound;

  /**
   * @param budget most tokens of a step
   */
  public Scheduler(KvStore store, SchedulingPolicy policy, int budget) {
    this(store, policy, budget, PrefixReuse.PLANNED, 0);
  }

  /**
   * @param budget most tokens of a step
   * @param sequencesMax most sequences that run at once; 0 for as many as memory and a step hold
   */
  public Scheduler(
      KvStore store, SchedulingPolicy policy, int budget, PrefixReuse reuse, int sequencesMax) {
    this.store = store;
    this.memory = new SequenceMemory(store, reuse);
    this.policy = policy;
    this.budget = budget;
    this.reservation = new Reservation(lengths, memory.pageTokens());
    this.sequencesMax = sequencesMax == 0 ? Integer.MAX_VALUE : sequencesMax;
  }

  /** Most tokens, prompt and completion together, that one sequence may hold; may fall. */
  public int tokensMax() {
    return (int) Math.min(Integer.MAX_VALUE, (long) store.usage().pages() * memory.pageTokens());
  }

  /** Takes a sequence in; it must fit: {@link #tokensMax}. */
  public void add(Sequence sequence) {
    if (!fits(sequence) || sequence.promptLength() < 1) {
      throw new IllegalArgumentException(
          "sequence of %d + %d tokens, room for %d"
              .formatted(
                  sequence.promptLength(), sequence.request().params().maxTokens(), tokensMax()));
    }
    waiting.add(sequence);
  }

  private boolean fits(Sequence s) {
    return (long) s.promptLength() + s.request().params().maxTokens() <= tokensMax();
  }

  /** Waiting sequences that came before memory turned out to be too short for them. */
  public List<Sequence> unfit() {
    return waiting.stream().filter(s -> !fits(s)).toList();
  }

  /** Sequences that wait or run. */
  public int active() {
    return waiting.size() + running.size();
  }

  public List<Sequence> running() {
    return Collections.unmodifiableList(running);
  }

  public List<Sequence> waiting() {
    return Collections.unmodifiableList(waiting);
  }

  /** Most tokens of a step; falls when steps run out of memory. */
  public int budget() {
    return budget;
  }

  /** What the next step computes; empty only if nothing is active or some are {@link #unfit}. */
  public StepPlan plan() {
    List<Piece> pieces = new ArrayList<>();
    planned.clear();
    memory.beginStep(waiting());
    long preempted = counts.preemptions();
    int left = budget;
    for (Sequence s : List.copyOf(running)) {
      if (s.decoding() && room(s)) {
        pieces.add(piece(s, 1));
        left--;
      }
    }
    for (Sequence s : List.copyOf(running)) {
      if (left > 0 && s.state() == Sequence.State.RUNNING && !s.decoding()) {
        left -= continuePrompt(s, left, pieces);
      }
    }
    bound = left <= 0 ? Bound.TOKENS : Bound.MEMORY;
    boolean pressed = counts.preemptions() > preempted;
    // Who just lost its memory would take it back from those who need it to grow.
    if (!pressed || pieces.isEmpty()) left -= admitSome(left, pieces);
    if (!pressed) reservation.quietStep();
    if (pieces.isEmpty() && active() > 0 && unfit().isEmpty()) {
      throw new IllegalStateException(
          "nothing to compute: %d waiting, %d running, %s"
              .formatted(waiting.size(), running.size(), store.usage()));
    }
    if (!pieces.isEmpty()) counts.step(bound);
    return new StepPlan(pieces, budget - left, bound);
  }

  /** Admits sequences while there is room; those that had better wait a step are passed over. */
  private int admitSome(int left, List<Piece> pieces) {
    List<Sequence> passed = new ArrayList<>();
    int used = 0;
    bound = Bound.TOKENS;
    while (used < left && running.size() < Math.min(budget, sequencesMax)) {
      if (waiting.isEmpty()) {
        bound = passed.isEmpty() ? Bound.REQUESTS : Bound.COMING_PAGES;
        break;
      }
      int next = policy.next(new SchedulerView(waiting(), running(), memory.available()));
      Sequence s = waiting.get(next);
      if (!pieces.isEmpty() && passed.size() < PASSED_MAX && memory.aPageIsComing(s)) {
        passed.add(waiting.remove(next));
        continue;
      }
      if (!admit(s)) {
        bound = Bound.MEMORY;
        break;
      }
      waiting.remove(next);
      used += continuePrompt(s, left - used, pieces);
    }
    waiting.addAll(0, passed);
    return used;
  }

  private boolean admit(Sequence s) {
    if (!running.isEmpty()) {
      int kept = reservation.pages(running) + reservation.pages(s);
      if (memory.wanted(s) + kept > memory.available()) return false;
    }
    if (!memory.admit(s)) return false;
    int at = running.size();
    while (at > 0 && running.get(at - 1).feed() > s.feed()) at--;
    running.add(at, s);
    counts.admitted(s);
    return true;
  }

  private Piece piece(Sequence s, int tokens) {
    planned.put(s.id(), s.computed() + tokens);
    return new Piece(s, tokens);
  }

  /** Adds as much of a prompt as the budget allows; 0 while what it builds on is not computed. */
  private int continuePrompt(Sequence s, int left, List<Piece> pieces) {
    PrefixIndex.Node base = s.lastAttached();
    if (base != null && !base.ready()) {
      if (base.removed()) {
        preempt(s);
        return 0;
      }
      if (planned.getOrDefault(base.owner(), 0) < base.span().to()) return 0;
    }
    int tokens = Math.min(left, s.remainingInStep());
    pieces.add(piece(s, tokens));
    return tokens;
  }

  /** Memory for the latest token of a decoding sequence; false if it lost its own for that. */
  private boolean room(Sequence s) {
    if (s.state() != Sequence.State.RUNNING) return false;
    while (!memory.grow(s)) {
      // Those after s have no piece yet, as running is in the order of planning.
      Sequence victim = running.get(running.size() - 1);
      preempt(victim);
      if (victim == s) return false;
    }
    return true;
  }

  /** The plan was computed: its sequences have that many more tokens with keys and values. */
  public void computed(StepPlan plan) {
    rounds = 0;
    for (Piece piece : plan.pieces()) {
      Sequence s = piece.sequence();
      boolean prompt = s.computed() < s.promptLength();
      counts.computed(s, piece.tokens());
      s.advance(piece.tokens());
      memory.computed(s);
      if (prompt && s.computed() >= s.promptLength()) memory.seal(s);
    }
  }

  /** The sequence generated a token and goes on. */
  public void append(Sequence s, int token) {
    s.append(token);
  }

  /** The sequence has its answer: it tells how long others will be. */
  public void finish(Sequence s) {
    lengths.finished(s.request(), s.generated());
    remove(s);
  }

  /** The sequence is finished or given up; its memory is free, its prefix stays for others. */
  public void remove(Sequence s) {
    if (s.state() == Sequence.State.RUNNING) {
      running.remove(s);
      memory.release(s);
    } else {
      waiting.remove(s);
    }
    s.done();
  }

  /** Takes the memory of a running sequence; it starts over as the first that waits. */
  public void preempt(Sequence s) {
    running.remove(s);
    memory.release(s);
    s.preempted();
    waiting.add(0, s);
    counts.preempted();
    reservation.preempted();
  }

  /**
   * The latest plan could not be computed for want of memory; it is void. Steps get half as long,
   * at last those with least tokens; then sequences lose a tenth of the memory in use, and prefixes
   * all, which goes back to the backend.
   *
   * @return false if that did not help a few times in a row: there is nothing left to try
   */
  public boolean relieve() {
    if (budget > BUDGET_LEAST) {
      budget = Math.max(BUDGET_LEAST, budget / 2);
      while (running.size() > budget) preempt(running.get(running.size() - 1));
      return true;
    }
    if (++rounds > ROUNDS_MAX) return false;
    memory.shrink();
    int pages = store.usage().pages();
    int kept = (int) ((pages - store.usage().freePages()) * KEPT_SHARE);
    while (running.size() > 1 && pages - store.usage().freePages() > kept) {
      preempt(running.get(running.size() - 1));
      memory.clearPrefixes();
    }
    memory.shrink();
    return true;
  }

  /** Gives up all prefixes that nobody uses. */
  public void clearPrefixes() {
    memory.clearPrefixes();
  }

  /** Pages held only for later sequences. */
  public int idlePages() {
    return memory.idlePages();
  }

  public SchedulerMetrics metrics() {
    return counts.metrics(memory.evictedPages());
  }
}
