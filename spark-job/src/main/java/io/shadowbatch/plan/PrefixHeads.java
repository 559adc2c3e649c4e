package io.shadowbatch.plan;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Chooses the prefixes of a run of sorted prompts so that the fewest bytes are computed when each
 * prompt shares one prefix at most.
 *
 * <p>Group planning for offline inference is BatchLLM's (Zheng et al., arXiv 2412.03594); their
 * rule flattens the tree from below and is not optimal. This is our own exact dynamic programme:
 * for a node v of depth D(v) and a the depth of the nearest chosen node above it,
 *
 * <pre>
 *   keep(v,a) = -a * (prompts ending at v) + sum over children c of g(c,a)
 *   take(v)   = D(v) + overhead - D(v) * (prompts ending at v) + sum over children c of g(c,D(v))
 *   g(v,a)    = min(keep(v,a), take(v))
 * </pre>
 *
 * Nodes are the intervals of prompts that share more than their neighbours do; an open one holds
 * keep(v,.) as an array by depth. keep never rises with a, so that a node needs one number to
 * decide by once the choice above it is known.
 */
final class PrefixHeads {

  private final long[] prefixCosts;
  private final long overhead;
  private final int degreeMin;
  private final long prefixMin;
  private final Deque<Node> open = new ArrayDeque<>();
  private final List<Node> closed = new ArrayList<>();
  private final Deque<long[]> spareCosts = new ArrayDeque<>();

  /**
   * What was chosen, by prompt.
   *
   * @param blocks of the chosen prefix, 0 for none
   * @param first the first prompt of the same group: with the same chosen prefix, or if there is
   *     none the prompt that this one duplicates, or itself
   */
  record Choice(int[] blocks, int[] first) {}

  /** An interval of prompts that share a prefix. */
  private static final class Node {
    private final int depth;
    private long[] keep;
    private Node parent;
    private int distinct;
    private int takeBelow;
    private Node head;
    private int first = -1;

    private Node(int depth, long[] keep) {
      this.depth = depth;
      this.keep = keep;
    }
  }

  PrefixHeads(PlanRules rules) {
    prefixCosts = rules.prefixCosts();
    overhead = rules.overheadBytes();
    degreeMin = rules.degreeMin();
    prefixMin = rules.prefixBytesMin();
  }

  /**
   * Chooses for one run of prompts.
   *
   * @param shared blocks that prompt i shares with prompt i - 1; the first is not looked at
   * @param duplicateOf the earlier prompt that prompt i duplicates, so that it computes nothing; -1
   *     if there is none
   * @param rows prompts
   */
  Choice choose(int[] shared, int[] duplicateOf, int rows) {
    Node[] nodes = new Node[rows];
    open.push(opened(0));
    for (int i = 0; i < rows; i++) {
      int next = i + 1 < rows ? shared[i + 1] : 0;
      if (next > open.peek().depth) open.push(opened(next));
      nodes[i] = open.peek();
      if (duplicateOf[i] < 0) add(nodes[i]);
      while (open.peek().depth > next) {
        Node node = open.pop();
        if (open.peek().depth < next) open.push(opened(next));
        close(node, open.peek());
      }
    }
    spareCosts.push(open.pop().keep);
    decide();
    return chosen(nodes, duplicateOf);
  }

  private static Choice chosen(Node[] nodes, int[] duplicateOf) {
    int[] blocks = new int[nodes.length];
    int[] first = new int[nodes.length];
    for (int i = 0; i < nodes.length; i++) {
      Node head = nodes[i].head;
      first[i] = duplicateOf[i] < 0 ? i : duplicateOf[i];
      if (head == null) continue;
      if (head.first < 0) head.first = i;
      first[i] = head.first;
      blocks[i] = head.depth;
    }
    return new Choice(blocks, first);
  }

  private Node opened(int depth) {
    long[] keep = spareCosts.isEmpty() ? new long[prefixCosts.length] : spareCosts.pop();
    for (int a = 0; a <= depth; a++) keep[a] = 0;
    return new Node(depth, keep);
  }

  /** A prompt that ends at the node saves whatever prefix is chosen above it. */
  private void add(Node node) {
    node.distinct++;
    for (int a = 1; a <= node.depth; a++) node.keep[a] -= prefixCosts[a];
  }

  private void close(Node node, Node parent) {
    long cost = prefixCosts[node.depth];
    boolean allowed = node.distinct >= degreeMin && cost > 0 && cost >= prefixMin;
    long take = allowed ? cost + overhead + node.keep[node.depth] : Long.MAX_VALUE;
    for (int a = 0; a <= parent.depth; a++) {
      if (take < node.keep[a]) node.takeBelow = a + 1;
      parent.keep[a] += Math.min(take, node.keep[a]);
    }
    parent.distinct += node.distinct;
    node.parent = parent;
    spareCosts.push(node.keep);
    node.keep = null;
    closed.add(node);
  }

  /** From above: nodes close after all that is below them. */
  private void decide() {
    for (int i = closed.size() - 1; i >= 0; i--) {
      Node node = closed.get(i);
      Node above = node.parent.head;
      int depth = above == null ? 0 : above.depth;
      node.head = depth < node.takeBelow ? node : above;
      node.parent = null;
    }
    closed.clear();
  }
}
