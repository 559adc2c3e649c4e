package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.plan.PlanPrompts.Plan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Slow and plain ways to the best plan, and what every plan must keep. */
final class PlanOracle {

  /** One node for each block of each prompt. */
  private static final class Node {
    final int depth;
    final Map<Long, Node> children = new HashMap<>();
    final List<SortedPrompt<Integer>> ends = new ArrayList<>();
    final Map<Integer, Long> known = new HashMap<>();
    int prompts;

    Node(int depth) {
      this.depth = depth;
    }
  }

  private final PlanRules rules;
  private final long[] cost;
  private final List<SortedPrompt<Integer>> distinct = new ArrayList<>();
  private final Node root = new Node(0);

  PlanOracle(List<SortedPrompt<Integer>> prompts, PlanRules rules) {
    this.rules = rules;
    this.cost = rules.prefixCosts();
    Set<String> seen = new HashSet<>();
    for (SortedPrompt<Integer> prompt : prompts) {
      if (!seen.add(Arrays.toString(prompt.signature()) + prompt.bytes())) continue;
      distinct.add(prompt);
      Node node = root;
      for (int d = 1; d <= PrefixSignature.blocks(prompt.signature()); d++) {
        int depth = d;
        node = node.children.computeIfAbsent(entry(prompt, d), k -> new Node(depth));
        node.prompts++;
      }
      node.ends.add(prompt);
    }
  }

  private static long entry(SortedPrompt<Integer> prompt, int depth) {
    return java.nio.ByteBuffer.wrap(prompt.signature()).getLong(8 * (depth - 1));
  }

  private long ownBytes() {
    return distinct.stream().mapToLong(p -> p.bytes() - rules.root().bytes()).sum();
  }

  private boolean allowed(Node v) {
    return v.prompts >= rules.degreeMin()
        && cost[v.depth] > 0
        && cost[v.depth] >= rules.prefixBytesMin();
  }

  /** The least cost by the recurrence, top down. */
  long recursive() {
    return ownBytes() + best(root, 0);
  }

  private long best(Node v, int above) {
    Long known = v.known.get(above);
    if (known != null) return known;
    long least = below(v, above);
    if (allowed(v)) {
      least = Math.min(least, cost[v.depth] + rules.overheadBytes() + below(v, v.depth));
    }
    v.known.put(above, least);
    return least;
  }

  private long below(Node v, int head) {
    long sum = -cost[head] * v.ends.size();
    for (Node child : v.children.values()) sum += best(child, head);
    return sum;
  }

  /** The least cost over all sets of prefixes, or -1 if there are too many sets. */
  long bruteForce(int prefixesMax) {
    List<Node> candidates = new ArrayList<>();
    collect(root, candidates);
    if (candidates.size() > prefixesMax) return -1;
    Map<Node, Integer> index = new HashMap<>();
    for (Node node : candidates) index.put(node, index.size());
    int[] above = new int[distinct.size()];
    for (int p = 0; p < above.length; p++) {
      Node node = root;
      for (int d = 1; d <= PrefixSignature.blocks(distinct.get(p).signature()); d++) {
        node = node.children.get(entry(distinct.get(p), d));
        if (index.containsKey(node)) above[p] |= 1 << index.get(node);
      }
    }
    long least = Long.MAX_VALUE;
    for (int set = 0; set < 1 << candidates.size(); set++) {
      long sum = ownBytes();
      for (int i = 0; i < candidates.size(); i++) {
        if ((set >> i & 1) == 1) sum += cost[candidates.get(i).depth] + rules.overheadBytes();
      }
      for (int mine : above) {
        long deepest = 0;
        for (int i = 0; i < candidates.size(); i++) {
          if ((mine & set) >> i == 1) deepest = cost[candidates.get(i).depth];
        }
        sum -= deepest;
      }
      least = Math.min(least, sum);
    }
    return least;
  }

  /** Parents before children, so that the last of a prompt's prefixes is the deepest. */
  private void collect(Node v, List<Node> out) {
    if (allowed(v)) out.add(v);
    for (Node child : v.children.values()) collect(child, out);
  }

  /** Goal of each plan: nobody lost, nobody doubled, all that is claimed shared is shared. */
  static void check(List<SortedPrompt<Integer>> prompts, Plan plan, PlanRules rules, String as) {
    Set<Integer> seen = new HashSet<>();
    long id = 0;
    for (PlannedGroup<Integer> group : plan.groups()) {
      assertThat(group.id()).as(as).isEqualTo(id++);
      assertThat(group.members()).as(as).isNotEmpty();
      SortedPrompt<Integer> first = group.members().get(0).prompt();
      for (int i = 0; i < group.members().size(); i++) {
        PlannedGroup.Member<Integer> member = group.members().get(i);
        SortedPrompt<Integer> prompt = member.prompt();
        assertThat(seen.add(prompt.payload())).as(as + ": once").isTrue();
        int blocks = PrefixSignature.sharedBlocks(first.signature(), prompt.signature());
        assertThat(blocks).as(as + ": shared").isGreaterThanOrEqualTo(group.prefixBlocks());
        assertThat(prompt.bytes()).as(as).isGreaterThanOrEqualTo(group.prefixBytes());
        if (member.duplicateOf() < 0) continue;
        assertThat(member.duplicateOf()).as(as).isLessThan(i);
        PlannedGroup.Member<Integer> twin = group.members().get(member.duplicateOf());
        assertThat(twin.duplicateOf()).as(as).isNegative();
        assertThat(twin.prompt().signature()).as(as).isEqualTo(prompt.signature());
        assertThat(twin.prompt().bytes()).as(as).isEqualTo(prompt.bytes());
      }
      assertThat(group.name() == null).as(as).isEqualTo(group.prefixBlocks() == 0);
      if (group.prefixBlocks() > 0) assertThat(group.members().size()).as(as).isGreaterThan(1);
    }
    assertThat(seen).as(as + ": all").hasSameSizeAs(prompts);
    PlanStatistics s = plan.statistics();
    assertThat(s.prompts()).as(as).isEqualTo(prompts.size());
    assertThat(s.promptBytes()).isEqualTo(prompts.stream().mapToLong(SortedPrompt::bytes).sum());
    long computed = prompts.isEmpty() ? 0 : rules.root().bytes();
    for (var group : plan.groups()) computed += group.computedBytes(rules.root());
    assertThat(s.plannedBytes()).as(as).isEqualTo(computed);
    assertThat(s.plannedBytes()).as(as).isBetween(s.optimumBytes(), s.promptBytes());
  }
}
