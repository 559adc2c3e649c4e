package io.shadowbatch.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Sorted prompts that are not planned yet, with what each shares with the one before. */
final class SortedWindow<T> {

  private final PlanRules rules;
  private final List<SortedPrompt<T>> prompts = new ArrayList<>();
  private int[] sharedBlocks = new int[16];
  private int[] duplicateOf = new int[16];
  private long[] sharedBytes = new long[16];
  private long bytes;

  SortedWindow(PlanRules rules) {
    this.rules = rules;
  }

  /**
   * What a prompt shares with those before it.
   *
   * @param blocks shared with the last prompt of the window
   * @param bytes shared with it; all if it duplicates an earlier prompt
   * @param duplicateOf index of the first equal prompt in the window, or -1
   */
  record Shared(int blocks, long bytes, int duplicateOf) {}

  int size() {
    return prompts.size();
  }

  SortedPrompt<T> prompt(int i) {
    return prompts.get(i);
  }

  /** Index of the first prompt of the window that is equal to prompt i, or -1. */
  int duplicateOf(int i) {
    return duplicateOf[i];
  }

  boolean isFull(SortedPrompt<T> next) {
    return !prompts.isEmpty()
        && (size() >= rules.windowRows() || bytes + next.bytes() > rules.windowBytes());
  }

  Shared shared(SortedPrompt<T> next) {
    if (prompts.isEmpty()) return new Shared(0, 0, -1);
    int last = size() - 1;
    int blocks = PrefixSignature.sharedBlocks(prompts.get(last).signature(), next.signature());
    int equal = first(next);
    long shared = equal >= 0 ? next.bytes() : rules.root().prefixBytes(blocks);
    return new Shared(blocks, shared, equal);
  }

  /** Strangers with equal hashes may stand between equal prompts: looks through the whole run. */
  private int first(SortedPrompt<T> next) {
    for (int i = size() - 1; i >= 0; i--) {
      SortedPrompt<T> before = prompts.get(i);
      if (!Arrays.equals(before.signature(), next.signature())) return -1;
      if (before.bytes() == next.bytes()) return duplicateOf[i] < 0 ? i : duplicateOf[i];
    }
    return -1;
  }

  void add(SortedPrompt<T> prompt, Shared shared) {
    int at = size();
    if (at == sharedBlocks.length) {
      sharedBlocks = Arrays.copyOf(sharedBlocks, 2 * at);
      duplicateOf = Arrays.copyOf(duplicateOf, 2 * at);
      sharedBytes = Arrays.copyOf(sharedBytes, 2 * at);
    }
    prompts.add(prompt);
    sharedBlocks[at] = shared.blocks();
    sharedBytes[at] = shared.bytes();
    duplicateOf[at] = shared.duplicateOf();
    bytes += prompt.bytes();
  }

  /**
   * Where to cut a full window: in its later half, or before the next prompt, where neighbours
   * share least, for what they share is computed again. A cut inside the deepest open interval
   * would pay for a group again and again while an interval above it holds the window full.
   *
   * @return prompts before the cut, at least one
   */
  int cut(Shared next) {
    int best = size();
    long least = next.bytes();
    for (int i = size() - 1; i >= (size() + 1) / 2; i--) {
      if (sharedBytes[i] >= least) continue;
      best = i;
      least = sharedBytes[i];
    }
    return best;
  }

  /** The best prefixes of the first prompts. */
  PrefixHeads.Choice choose(PrefixHeads heads, int rows) {
    return heads.choose(sharedBlocks, duplicateOf, rows);
  }

  /** Forgets the first prompts; the others share nothing with them any more. */
  void drop(int rows) {
    List<SortedPrompt<T>> rest = List.copyOf(prompts.subList(rows, size()));
    prompts.clear();
    bytes = 0;
    for (SortedPrompt<T> prompt : rest) add(prompt, shared(prompt));
  }
}
