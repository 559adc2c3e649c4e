package io.shadowbatch.bench;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The trie of some prompts' tokens, as its depth-first order: what perfect reuse would compute.
 *
 * @param order indices of the prompts, depth first
 * @param nodes tokens of the trie: the fewest that can be computed if none is computed twice
 * @param planned tokens that the order computes if a prompt takes over all that it shares with the
 *     one before, but never its last token, whose logits are wanted
 * @param plannedPages the same if only whole pages are taken over
 */
record TokenTrie(List<Integer> order, long nodes, long planned, long plannedPages) {

  /** The trie of prompts whose keys and values are kept in pages of so many tokens. */
  static TokenTrie of(List<int[]> prompts, int pageTokens) {
    Comparator<Integer> byTokens = (a, b) -> Arrays.compare(prompts.get(a), prompts.get(b));
    List<Integer> order = IntStream.range(0, prompts.size()).boxed().sorted(byTokens).toList();
    long nodes = 0;
    long planned = 0;
    long plannedPages = 0;
    int[] before = {};
    for (int i : order) {
      int[] tokens = prompts.get(i);
      // In this order nobody earlier shares more than the one before.
      int common = common(before, tokens);
      int taken = Math.min(common, tokens.length - 1);
      nodes += tokens.length - common;
      planned += tokens.length - taken;
      plannedPages += tokens.length - taken / pageTokens * pageTokens;
      before = tokens;
    }
    return new TokenTrie(order, nodes, planned, plannedPages);
  }

  private static int common(int[] a, int[] b) {
    int mismatch = Arrays.mismatch(a, b);
    return mismatch < 0 ? a.length : mismatch;
  }
}
