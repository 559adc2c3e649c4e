package io.shadowbatch.schedule;

import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.PrefixIndex;
import java.util.Comparator;
import java.util.List;

/**
 * The pages that sequences hold: their own, and those of prefixes, which stay for later sequences
 * until their memory is wanted. Knows nothing of budgets and of who may run.
 */
final class SequenceMemory {
  /** Waiting sequences beyond these are too far off to keep pages for. */
  private static final int EXPECTED_MAX = 1024;

  private final KvStore store;
  private final PrefixReuse reuse;
  private final PrefixIndex index;
  private final int pageTokens;
  private List<Sequence> waiting = List.of();
  private boolean expected;
  private long evictedPages;

  SequenceMemory(KvStore store, PrefixReuse reuse) {
    this.store = store;
    this.reuse = reuse;
    this.pageTokens = store.usage().pageTokens();
    this.index = new PrefixIndex(pageTokens);
  }

  int pageTokens() {
    return pageTokens;
  }

  /** A step is planned: {@code sequences} wait, in the order of their feeds. */
  void beginStep(List<Sequence> sequences) {
    waiting = sequences;
    expected = false;
  }

  /** Pages that can be had without taking them from a running sequence. */
  int available() {
    return store.usage().freePages() + index.idlePages();
  }

  /** Pages that are held only for later sequences. */
  int idlePages() {
    return index.idlePages();
  }

  long evictedPages() {
    return evictedPages;
  }

  /** Pages that an admission would take out of {@link #available}. */
  int wanted(Sequence s) {
    List<PrefixIndex.Node> path = index.match(s.tokens(), reusable(s));
    int wanted = store.usage().pagesFor(s.length()) - path.size();
    for (PrefixIndex.Node node : path) wanted += node.idle() ? 1 : 0;
    return wanted;
  }

  /**
   * Whether a running sequence is about to compute a page that begins as this one's next does, so
   * that a copy of it will save more than what is there already.
   */
  boolean aPageIsComing(Sequence s) {
    int limit = reusable(s);
    List<PrefixIndex.Node> path = index.match(s.tokens(), limit);
    PrefixIndex.Node coming = index.partial(path, s.tokens(), limit, PrefixIndex.Begun.PENDING);
    if (coming == null) return false;
    PrefixIndex.Node there = index.partial(path, s.tokens(), limit, PrefixIndex.Begun.READY);
    int saved = there == null ? 0 : index.commonTokens(there, s.tokens(), limit);
    return index.commonTokens(coming, s.tokens(), limit) > saved;
  }

  /** How many tokens may come from others: the last is always computed, its logits are wanted. */
  private int reusable(Sequence s) {
    return reuse == PrefixReuse.OFF ? 0 : shareable(s) - 1;
  }

  /** Tokens whose keys and values are the same for whoever computes them. */
  private static int shareable(Sequence s) {
    return s.shadow() ? s.promptLength() : s.length();
  }

  /** Makes room for all tokens of a sequence and starts it; false if there is no room. */
  boolean admit(Sequence s) {
    int[] tokens = s.tokens();
    int limit = reusable(s);
    List<PrefixIndex.Node> path = index.match(tokens, limit);
    int needed = store.usage().pagesFor(s.length()) - path.size();
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
    return true;
  }

  /** Room for the latest token of a sequence; false if only running ones hold memory. */
  boolean grow(Sequence s) {
    while (!store.reserve(s.id(), s.length())) {
      if (!evict()) return false;
    }
    return true;
  }

  /** Gives up idle prefixes until so many pages are free; false if there are not enough. */
  private boolean evictFor(int pages) {
    while (store.usage().freePages() < pages) {
      if (!evict()) return false;
    }
    return true;
  }

  private boolean evict() {
    if (!expected && reuse == PrefixReuse.PLANNED) {
      index.expectNothing();
      int turn = 0;
      for (Sequence s : inTurn()) index.expect(s.tokens(), reusable(s), turn++);
      expected = true;
    }
    boolean evicted = index.evict();
    evictedPages += evicted ? 1 : 0;
    return evicted;
  }

  private List<Sequence> inTurn() {
    return waiting.stream()
        .sorted(Comparator.comparingInt(Sequence::feed))
        .limit(EXPECTED_MAX)
        .toList();
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
    for (int at = pages.size() * pageTokens; at < shareable(s); at += pageTokens) {
      int to = Math.min(shareable(s), at + pageTokens);
      PrefixIndex.Node parent = pages.isEmpty() ? null : pages.get(pages.size() - 1);
      if (index.holds(parent, s.tokens(), at, to)) return;
      KvSpan span = store.share(s.id(), at, to);
      PrefixIndex.Node node = index.add(parent, s.tokens(), span, s.id());
      index.use(node);
      pages.add(node);
    }
  }

  /** The sequence has computed more tokens: pages that are complete may be used by others. */
  void computed(Sequence s) {
    for (PrefixIndex.Node node : s.pages()) {
      if (!node.ready() && node.owner() == s.id() && node.span().to() <= s.computed()) {
        index.ready(node);
      }
    }
  }

  /** The prompt of a sequence is computed. */
  void seal(Sequence s) {
    if (s.shadow()) store.seal(s.id(), s.promptLength());
  }

  void release(Sequence s) {
    for (PrefixIndex.Node node : s.pages()) {
      if (!node.ready() && node.owner() == s.id()) index.remove(node);
      index.leave(node);
    }
    s.pages().clear();
    store.release(s.id());
  }

  /** Gives up all prefixes that nobody uses. */
  void clearPrefixes() {
    while (index.evict()) {}
  }

  /** Gives memory that nobody uses back to the backend, prefixes too. */
  void shrink() {
    clearPrefixes();
    store.shrink();
  }
}
