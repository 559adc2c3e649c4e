package io.shadowbatch.plan;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * Plans the prefix groups of one partition while its prompts stream by in sorted order: every
 * prompt comes out once, in one group with at most one level of prefix, and the bytes to compute
 * are the fewest that such groups allow ({@link PrefixHeads}).
 *
 * <p>Prompts that share nothing with the next one are planned at once; so at most {@link
 * PlanRules#windowRows} are held. A full window is cut where neighbours share least. Each cut costs
 * the prefixes that the best plan has open there once more: one prefix, or several where chosen
 * prefixes are nested. Equal prompts need no tokens of their own, as in BatchLLM (Zheng et al.,
 * arXiv 2412.03594), which also keeps one level. Computes nothing and compares no text.
 */
public final class PrefixGroupPlanner<T> implements Iterator<PlannedGroup<T>> {

  private final Iterator<SortedPrompt<T>> prompts;
  private final PlanRules rules;
  private final long[] prefixCosts;
  private final PrefixHeads heads;
  private final SortedWindow<T> window;
  private final Deque<PlannedGroup<T>> planned = new ArrayDeque<>();
  private SortedPrompt<T> last;
  private PlanStatistics statistics = PlanStatistics.NONE;
  private long groups;

  /** Plans prompts that come in unsigned byte order of their signatures. */
  public PrefixGroupPlanner(Iterator<SortedPrompt<T>> prompts, PlanRules rules) {
    this.prompts = prompts;
    this.rules = rules;
    prefixCosts = rules.prefixCosts();
    heads = new PrefixHeads(rules);
    window = new SortedWindow<>(rules);
  }

  /** Of the groups planned so far; of all prompts once there is no next group. */
  public PlanStatistics statistics() {
    return statistics;
  }

  @Override
  public boolean hasNext() {
    while (planned.isEmpty() && prompts.hasNext()) accept(prompts.next());
    if (planned.isEmpty()) plan(window.size());
    return !planned.isEmpty();
  }

  /** The next group; throws IllegalArgumentException if prompts are out of order. */
  @Override
  public PlannedGroup<T> next() {
    if (!hasNext()) throw new NoSuchElementException("all prompts are planned");
    return planned.remove();
  }

  private void accept(SortedPrompt<T> prompt) {
    check(prompt);
    SortedWindow.Shared shared = window.shared(prompt);
    boolean equal = last != null && same(last, prompt);
    count(prompt, equal ? prompt.bytes() : shared.bytes());
    last = prompt;
    if (prefixCosts[shared.blocks()] == 0 && shared.duplicateOf() < 0) {
      plan(window.size());
      shared = window.shared(prompt);
    } else if (window.isFull(prompt)) {
      statistics = statistics.plus(new PlanStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
      plan(window.cut(shared));
      shared = window.shared(prompt);
    }
    window.add(prompt, shared);
  }

  private static boolean same(SortedPrompt<?> a, SortedPrompt<?> b) {
    return a.bytes() == b.bytes() && Arrays.equals(a.signature(), b.signature());
  }

  private void check(SortedPrompt<T> prompt) {
    byte[] signature = prompt.signature();
    if (!PrefixSignature.isWhole(signature)) {
      throw new IllegalArgumentException(
          "prompt %d: a signature of %d bytes is none"
              .formatted(statistics.prompts(), signature.length));
    }
    long covered = rules.root().prefixBytes(PrefixSignature.blocks(signature));
    if (prompt.bytes() < Math.max(covered, rules.root().bytes())) {
      throw new IllegalArgumentException(
          "prompt %d: has %d bytes, but its signature covers %d and the root has %d"
              .formatted(statistics.prompts(), prompt.bytes(), covered, rules.root().bytes()));
    }
    if (last != null && Arrays.compareUnsigned(last.signature(), signature) > 0) {
      throw new IllegalArgumentException(
          "prompt %d: its signature sorts before the one in front of it"
              .formatted(statistics.prompts()));
    }
  }

  /** The first prompt computes the root as well. */
  private void count(SortedPrompt<T> prompt, long sharedBytes) {
    long root = statistics.prompts() == 0 ? 0 : rules.root().bytes();
    long optimum = prompt.bytes() - Math.max(root, sharedBytes);
    long planned = rules.root().bytes() - root;
    statistics =
        statistics.plus(
            new PlanStatistics(
                1, 0, 0, 0, 0, prompt.bytes(), planned, optimum, prompt.outputTokens(), 0));
  }

  /** Groups the first prompts of the window; a group comes where its first prompt is. */
  private void plan(int rows) {
    if (rows == 0) return;
    PrefixHeads.Choice choice = window.choose(heads, rows);
    List<List<PlannedGroup.Member<T>>> members = new ArrayList<>(rows);
    int[] place = new int[rows];
    for (int i = 0; i < rows; i++) {
      int first = choice.first()[i];
      members.add(first == i ? new ArrayList<>() : null);
      List<PlannedGroup.Member<T>> group = members.get(first);
      int equal = window.duplicateOf(i);
      place[i] = group.size();
      group.add(new PlannedGroup.Member<>(window.prompt(i), equal < 0 ? -1 : place[equal]));
    }
    for (int i = 0; i < rows; i++) {
      if (members.get(i) != null) emit(members.get(i), choice.blocks()[i]);
    }
    window.drop(rows);
  }

  private void emit(List<PlannedGroup.Member<T>> members, int chosenBlocks) {
    byte[] signature = members.get(0).prompt().signature();
    int blocks = chosenBlocks;
    if (blocks == 0 && members.size() > 1) blocks = repeatedBlocks(signature);
    String name = blocks == 0 ? null : PrefixSignature.nameOf(signature, blocks);
    long bytes = rules.root().prefixBytes(blocks);
    PlannedGroup<T> group = new PlannedGroup<>(groups++, name, blocks, bytes, List.copyOf(members));
    planned.add(group);
    boolean sharing = blocks > 0;
    statistics =
        statistics.plus(
            new PlanStatistics(
                0,
                members.size() - group.distinct(),
                sharing ? 1 : 0,
                sharing ? members.size() : 0,
                sharing ? members.size() : 0,
                0,
                group.computedBytes(rules.root()),
                0,
                0,
                0));
  }

  /** A repeated prompt that joined no group shares all its blocks with itself, at no cost. */
  private int repeatedBlocks(byte[] signature) {
    int blocks = PrefixSignature.blocks(signature);
    long cost = prefixCosts[blocks];
    return cost > 0 && cost >= rules.prefixBytesMin() ? blocks : 0;
  }
}
