package io.shadowbatch.schedule;

import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.KvUsage;
import io.shadowbatch.kv.PrefixIndex;
import io.shadowbatch.schedule.SchedulingPolicy.SchedulerView;
import io.shadowbatch.schedule.StepPlan.Piece;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Decides what each step computes and keeps the memory of sequences: decodes first, then prompts in
 * chunks up to the token budget, admission by memory. When memory runs out it gives up idle
 * prefixes, then takes it from the newest sequence, which computes its tokens again later; never
 * from the oldest, so that something always advances. Does not compute anything.
 */
public final class Scheduler {
  /** Tokens to save that are worth a step of waiting: where nothing else fills it, it costs. */
  private static final int WORTH_WAITING = 8;

  /** So many sequences are passed over at most: what follows would take memory ahead of them. */
  private static final int PASSED_MAX = 64;

  private final KvStore store;
  private final PrefixIndex index;
  private final SchedulingPolicy policy;
  private final int budget;
  private final PrefixReuse reuse;
  private final int sequencesMax;
  private final int pageTokens;
  private final int pagesMax;
  private final List<Sequence> waiting = new ArrayList<>();
  private final List<Sequence> running = new ArrayList<>();
  private final Map<Integer, Integer> planned = new HashMap<>();
  private long steps;
  private long promptTokens;
  private long reusedTokens;
  private long prefillTokens;
  private long decodeTokens;
  private long preemptions;

  /**
   * @param budget most tokens of a step
   */
  public Scheduler(KvStore store, SchedulingPolicy policy, int budget) {
    this(store, policy, budget, PrefixReuse.LRU, 0);
  }

  /**
   * @param budget most tokens of a step
   * @param sequencesMax most sequences that run at once; 0 for as many as memory and a step hold
   */
  public Scheduler(
      KvStore store, SchedulingPolicy policy, int budget, PrefixReuse reuse, int sequencesMax) {
    this.store = store;
    this.policy = policy;
    this.budget = budget;
    this.reuse = reuse;
    this.sequencesMax = sequencesMax == 0 ? Integer.MAX_VALUE : sequencesMax;
    KvUsage usage = store.usage();
    this.pageTokens = usage.pageTokens();
    this.pagesMax = usage.pages();
    this.index = new PrefixIndex(pageTokens);
  }

  /** Most tokens, prompt and completion together, that one sequence may ever hold. */
  public int tokensMax() {
    return (int) Math.min(Integer.MAX_VALUE, (long) pagesMax * pageTokens);
  }

  /** Takes a sequence in; it must fit: {@link #tokensMax}. */
  public void add(Sequence sequence) {
    int most = sequence.promptLength() + sequence.request().params().maxTokens();
    if (most > tokensMax() || sequence.promptLength() < 1) {
      throw new IllegalArgumentException(
          "sequence of %d + %d tokens, room for %d"
              .formatted(sequence.promptLength(), most - sequence.promptLength(), tokensMax()));
    }
    waiting.add(sequence);
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

  /** What the next step computes; empty only if nothing is active. */
  public StepPlan plan() {
    List<Piece> pieces = new ArrayList<>();
    planned.clear();
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
    left -= admitSome(left, pieces);
    if (pieces.isEmpty() && active() > 0) {
      throw new IllegalStateException(
          "nothing to compute: %d waiting, %d running, %s"
              .formatted(waiting.size(), running.size(), store.usage()));
    }
    steps += pieces.isEmpty() ? 0 : 1;
    return new StepPlan(pieces, budget - left);
  }

  /** Admits sequences while there is room; those that had better wait a step are passed over. */
  private int admitSome(int left, List<Piece> pieces) {
    int used = 0;
    int passed = 0;
    int most = Math.min(budget, sequencesMax);
    while (used < left && passed < waiting.size() && running.size() < most) {
      List<Sequence> rest = waiting().subList(passed, waiting.size());
      int next = passed + policy.next(new SchedulerView(rest, running(), available()));
      boolean first = pieces.isEmpty();
      if (!first && passed < PASSED_MAX && aPageIsComing(waiting.get(next))) {
        Collections.swap(waiting, passed, next);
        passed++;
        continue;
      }
      if (!admit(waiting.get(next))) break;
      Sequence s = waiting.remove(next);
      used += continuePrompt(s, left - used, pieces);
    }
    return used;
  }

  /**
   * Whether a running sequence is about to compute a page that begins as this one's next does, so
   * that a copy of it will save more than what is there already.
   */
  private boolean aPageIsComing(Sequence s) {
    int limit = reusable(s);
    List<PrefixIndex.Node> path = index.match(s.tokens(), limit);
    PrefixIndex.Node coming = index.partial(path, s.tokens(), limit, PrefixIndex.Begun.PENDING);
    if (coming == null) return false;
    PrefixIndex.Node there = index.partial(path, s.tokens(), limit, PrefixIndex.Begun.READY);
    int more = index.commonTokens(coming, s.tokens(), limit);
    if (there != null) more -= index.commonTokens(there, s.tokens(), limit);
    return more >= WORTH_WAITING;
  }

  /** How many tokens may come from others: the last is always computed, its logits are wanted. */
  private int reusable(Sequence s) {
    return reuse == PrefixReuse.OFF ? 0 : s.length() - 1;
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
    int tokens = Math.min(left, s.remaining());
    pieces.add(piece(s, tokens));
    return tokens;
  }

  /** Memory for the latest token of a decoding sequence; false if it lost its own for that. */
  private boolean room(Sequence s) {
    if (s.state() != Sequence.State.RUNNING) return false;
    while (!store.reserve(s.id(), s.length())) {
      if (index.evict()) continue;
      Sequence victim = running.get(running.size() - 1);
      preempt(victim);
      if (victim == s) return false;
    }
    return true;
  }

  private int available() {
    return store.usage().freePages() + index.idlePages();
  }

  private boolean admit(Sequence s) {
    int[] tokens = s.tokens();
    int limit = reusable(s);
    List<PrefixIndex.Node> path = index.match(tokens, limit);
    int needed = store.usage().pagesFor(s.length()) - path.size();
    // Running sequences grow: a page each is kept for them.
    if (!running.isEmpty() && needed + running.size() + 1 > available() - idle(path)) return false;
    path.forEach(index::use);
    PrefixIndex.Node partial = index.partial(path, tokens, limit, PrefixIndex.Begun.READY);
    if (partial != null) index.use(partial);
    boolean room = evictFor(needed);
    if (partial != null) index.leave(partial);
    if (!room) {
      partial = null;
      evictFor(needed);
    }
    s.pages().addAll(path);
    int reused = attach(s, path, partial, limit);
    if (!store.reserve(s.id(), s.length())) {
      release(s);
      return false;
    }
    s.start(reused, path.size());
    enter(s);
    running.add(s);
    if (s.preemptions() == 0) {
      promptTokens += s.promptLength();
      reusedTokens += s.cachedTokens();
    }
    return true;
  }

  /** Gives up idle prefixes until so many pages are free; false if there are not enough. */
  private boolean evictFor(int pages) {
    while (store.usage().freePages() < pages) {
      if (!index.evict()) return false;
    }
    return true;
  }

  private static int idle(List<PrefixIndex.Node> path) {
    int idle = 0;
    for (PrefixIndex.Node node : path) idle += node.idle() ? 1 : 0;
    return idle;
  }

  private int attach(Sequence s, List<PrefixIndex.Node> path, PrefixIndex.Node partial, int limit) {
    int at = 0;
    for (PrefixIndex.Node node : path) {
      store.attach(s.id(), node.span(), at);
      at += pageTokens;
    }
    if (partial != null) {
      int common = index.commonTokens(partial, s.tokens(), limit);
      if (store.attach(s.id(), partial.span().head(common), at)) at += common;
    }
    return at;
  }

  /** Enters the pages that the sequence is about to compute, for others to build on. */
  private void enter(Sequence s) {
    if (reuse == PrefixReuse.OFF) return;
    List<PrefixIndex.Node> pages = s.pages();
    for (int at = pages.size() * pageTokens; at < s.length(); at += pageTokens) {
      int to = Math.min(s.length(), at + pageTokens);
      PrefixIndex.Node parent = pages.isEmpty() ? null : pages.get(pages.size() - 1);
      if (index.holds(parent, s.tokens(), at, to)) return;
      KvSpan span = store.share(s.id(), at, to);
      PrefixIndex.Node node = index.add(parent, s.tokens(), span, s.id());
      index.use(node);
      pages.add(node);
    }
  }

  /** The plan was computed: its sequences have that many more tokens with keys and values. */
  public void computed(StepPlan plan) {
    for (Piece piece : plan.pieces()) {
      Sequence s = piece.sequence();
      boolean decode = s.decoding();
      boolean prompt = s.computed() < s.promptLength();
      s.advance(piece.tokens());
      decodeTokens += decode ? piece.tokens() : 0;
      prefillTokens += decode ? 0 : piece.tokens();
      for (PrefixIndex.Node node : s.pages()) {
        if (!node.ready() && node.owner() == s.id() && node.span().to() <= s.computed()) {
          index.ready(node);
        }
      }
      if (prompt && s.computed() >= s.promptLength()) store.seal(s.id());
    }
  }

  /** The sequence generated a token and goes on. */
  public void append(Sequence s, int token) {
    s.append(token);
  }

  /** The sequence is finished or given up; its memory is free, its prefix stays for others. */
  public void remove(Sequence s) {
    if (s.state() == Sequence.State.RUNNING) {
      running.remove(s);
      release(s);
    } else {
      waiting.remove(s);
    }
    s.done();
  }

  /** Takes the memory of a running sequence; it starts over as the first that waits. */
  public void preempt(Sequence s) {
    running.remove(s);
    release(s);
    s.preempted();
    waiting.add(0, s);
    preemptions++;
  }

  private void release(Sequence s) {
    for (PrefixIndex.Node node : s.pages()) {
      if (!node.ready() && node.owner() == s.id()) index.remove(node);
      index.leave(node);
    }
    s.pages().clear();
    store.release(s.id());
  }

  /** Gives up all prefixes that nobody uses. */
  public void clearPrefixes() {
    while (index.evict()) {}
  }

  /** Pages held only for later sequences. */
  public int idlePages() {
    return index.idlePages();
  }

  public SchedulerMetrics metrics() {
    return new SchedulerMetrics(
        steps, promptTokens, reusedTokens, prefillTokens, decodeTokens, preemptions);
  }
}
