package io.shadowbatch.kv;

import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.PriorityQueue;
import java.util.TreeMap;

/**
 * Which pages of tokens the store holds, as a trie: a node is one page of tokens after its
 * parent's, or, as a leaf, the begun page at the end of a prompt. Found pages are compared token by
 * token, never trusted by their hash.
 *
 * <p>A node may be entered before its tokens are computed; it is ready once its owner says so. A
 * node that no sequence uses stays for later ones until its memory is wanted, leaves before their
 * parents: first those that nobody expected will use, the least recently used of them first, then
 * those that are used last (Belady, IBM Systems Journal 5(2), 1966: the future is known here).
 */
public final class PrefixIndex {

  /** A page of tokens that follows the pages on the way from the root. */
  public static final class Node {
    private final Node parent;
    private final IntBuffer tokens;
    private final KvSpan span;
    private final int owner;
    private final NavigableMap<IntBuffer, Node> children = new TreeMap<>();
    private boolean ready;
    private boolean removed;
    private int users;
    private long lastUse;
    private long expectation; // of which nextUse tells
    private int nextUse;

    private Node(Node parent, IntBuffer tokens, KvSpan span, int owner) {
      this.parent = parent;
      this.tokens = tokens;
      this.span = span;
      this.owner = owner;
    }

    /** The page, with its positions. */
    public KvSpan span() {
      return span;
    }

    /** The sequence that computes it. */
    public int owner() {
      return owner;
    }

    /** True once its keys and values are computed. */
    public boolean ready() {
      return ready;
    }

    /** True if no sequence uses it. */
    public boolean idle() {
      return users == 0;
    }

    /** True if it was taken out before it was ready: nobody will compute it. */
    public boolean removed() {
      return removed;
    }
  }

  private record Idle(Node node, long lastUse) {}

  /** Pages that are passed over at most in the search for one that is ready, or not yet. */
  private static final int LOOKED_MAX = 64;

  private final int pageTokens;
  private final Node root;
  private final PriorityQueue<Idle> idle =
      new PriorityQueue<>((a, b) -> Long.compare(a.lastUse, b.lastUse));
  private final PriorityQueue<Node> expected =
      new PriorityQueue<>((a, b) -> Integer.compare(b.nextUse, a.nextUse));
  private long expectation;
  private int nodes;
  private int idleNodes;
  private long clock;

  public PrefixIndex(int pageTokens) {
    this.pageTokens = pageTokens;
    this.root = new Node(null, null, null, -1);
    this.root.ready = true;
  }

  /** Pages that {@code tokens[0, limit)} share with what is held, from the first one on. */
  public List<Node> match(int[] tokens, int limit) {
    List<Node> path = new ArrayList<>();
    Node node = root;
    for (int at = 0; at + pageTokens <= limit; at += pageTokens) {
      node = node.children.get(IntBuffer.wrap(tokens, at, pageTokens));
      if (node == null) break;
      path.add(node);
    }
    return path;
  }

  /** Pages that begin with some of the tokens behind a path. */
  public enum Begun {
    /** Their keys and values are there. */
    READY,
    /** Their owners have yet to compute them. */
    PENDING
  }

  /**
   * The page after {@code path} that begins with most of the tokens from the path's end on; or
   * null. {@link #commonTokens} says how many.
   */
  public Node partial(List<Node> path, int[] tokens, int limit, Begun begun) {
    Node last = path.isEmpty() ? root : path.get(path.size() - 1);
    int at = path.size() * pageTokens;
    if (at >= limit) return null;
    IntBuffer key = IntBuffer.wrap(tokens, at, Math.min(pageTokens, limit - at));
    Node above = nearest(last.children.tailMap(key, true), begun);
    Node below = nearest(last.children.headMap(key, false).descendingMap(), begun);
    int commonAbove = above == null ? 0 : commonTokens(above, tokens, limit);
    int commonBelow = below == null ? 0 : commonTokens(below, tokens, limit);
    if (Math.max(commonAbove, commonBelow) == 0) return null;
    return commonAbove >= commonBelow ? above : below;
  }

  /** The first that is as wanted: in sorted order the next pages share most. */
  private static Node nearest(Map<IntBuffer, Node> pages, Begun begun) {
    int looked = 0;
    for (Node page : pages.values()) {
      if (page.ready == (begun == Begun.READY)) return page;
      if (++looked == LOOKED_MAX) return null;
    }
    return null;
  }

  /** How many of {@code tokens[span.from, limit)} a page begins with. */
  public int commonTokens(Node page, int[] tokens, int limit) {
    int from = page.span.from();
    int n = Math.min(page.tokens.remaining(), limit - from);
    int i = 0;
    while (i < n && page.tokens.get(page.tokens.position() + i) == tokens[from + i]) i++;
    return i;
  }

  /**
   * Enters the page of {@code tokens} at {@code span}, not yet ready, after {@code parent}. A span
   * of less than a page is a leaf.
   */
  public Node add(Node parent, int[] tokens, KvSpan span, int owner) {
    Node above = parent == null ? root : parent;
    IntBuffer key = IntBuffer.wrap(tokens, span.from(), span.to() - span.from());
    Node node = new Node(above, key, span, owner);
    if (above.children.putIfAbsent(key, node) != null) {
      throw new IllegalStateException("page at position " + span.from() + " is held already");
    }
    nodes++;
    idleNodes++;
    return node;
  }

  /** True if another page with the tokens [from, to) follows {@code parent}. */
  public boolean holds(Node parent, int[] tokens, int from, int to) {
    Node above = parent == null ? root : parent;
    return above.children.containsKey(IntBuffer.wrap(tokens, from, to - from));
  }

  /** The page's keys and values are computed. */
  public void ready(Node node) {
    node.ready = true;
  }

  /** A sequence begins to use a page. */
  public void use(Node node) {
    if (node.users++ == 0) idleNodes--;
    node.lastUse = ++clock;
  }

  /** A sequence ends to use a page. */
  public void leave(Node node) {
    if (node.users <= 0) throw new IllegalStateException("page is not in use");
    node.lastUse = ++clock;
    if (--node.users == 0 && !node.removed) {
      idleNodes++;
      offer(node);
    }
  }

  /** Takes out a page that nobody will compute, with all that follow it. */
  public void remove(Node node) {
    if (node.removed) return;
    for (Node child : List.copyOf(node.children.values())) remove(child);
    unlink(node);
  }

  private void unlink(Node node) {
    node.removed = true;
    node.parent.children.remove(node.tokens);
    nodes--;
    if (node.users == 0) idleNodes--;
    node.span.close();
    if (node.parent != root) offer(node.parent);
  }

  /** Pages that nobody uses: what {@link #evict} can free, all in all. */
  public int idlePages() {
    return idleNodes;
  }

  /** Pages entered. */
  public int size() {
    return nodes;
  }

  /** Forgets what was expected: from here on nobody will use anything again. */
  public void expectNothing() {
    expectation++;
    expected.forEach(this::offer);
    expected.clear();
  }

  /**
   * A later sequence will use what is held of its tokens; {@code turn} grows with the time. Of
   * several that use a page the first counts, so they are told in the order of their turns.
   */
  public void expect(int[] tokens, int limit, int turn) {
    List<Node> path = match(tokens, limit);
    path.forEach(node -> expect(node, turn));
    Node begun = partial(path, tokens, limit, Begun.READY);
    if (begun != null) expect(begun, turn);
  }

  private void expect(Node node, int turn) {
    if (node.expectation == expectation) return;
    node.expectation = expectation;
    node.nextUse = turn;
  }

  /** Gives up the idle page without followers that is worth least; false if there is none. */
  public boolean evict() {
    while (!idle.isEmpty()) {
      Idle next = idle.poll();
      Node node = next.node;
      if (!evictable(node) || node.lastUse != next.lastUse) continue;
      if (node.expectation == expectation && expectation > 0) {
        expected.add(node);
        continue;
      }
      unlink(node);
      return true;
    }
    while (!expected.isEmpty()) {
      Node node = expected.poll();
      if (!evictable(node)) continue;
      unlink(node);
      return true;
    }
    return false;
  }

  private static boolean evictable(Node node) {
    return node.users == 0 && node.children.isEmpty() && !node.removed;
  }

  private void offer(Node node) {
    if (evictable(node)) idle.add(new Idle(node, node.lastUse));
  }
}
