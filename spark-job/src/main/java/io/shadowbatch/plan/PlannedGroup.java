package io.shadowbatch.plan;

import java.util.List;

/**
 * Prompts that are to be placed together.
 *
 * @param id counts the groups of a partition from 0
 * @param name of the prefix, the same wherever its prompts are, or null if there is none
 * @param prefixBlocks blocks of the signatures that all members share; 0 if there is no prefix
 * @param prefixBytes leading bytes that all members share, the pinned root included; 0 if there is
 *     no prefix. Prompts may share some bytes more: blocks count whole
 * @param members in sorted order, at least one
 */
public record PlannedGroup<T>(
    long id, String name, int prefixBlocks, long prefixBytes, List<Member<T>> members) {

  /**
   * One prompt of the group.
   *
   * @param duplicateOf index of the earlier member with the same length and whole hash, or -1. The
   *     caller must compare the bytes before it trusts this
   */
  public record Member<T>(SortedPrompt<T> prompt, int duplicateOf) {}

  /** Members that duplicate no earlier one. */
  public int distinct() {
    int distinct = 0;
    for (Member<T> member : members) if (member.duplicateOf < 0) distinct++;
    return distinct;
  }

  /**
   * Bytes to compute for the group: its prefix once, then what each distinct member has below it.
   *
   * @param root not counted
   */
  public long computedBytes(PinnedRoot root) {
    long done = Math.max(root.bytes(), prefixBytes);
    long computed = root.below(prefixBytes);
    for (Member<T> member : members) {
      if (member.duplicateOf < 0) computed += member.prompt.bytes() - done;
    }
    return computed;
  }

  /** Expected completion tokens of all members. */
  public long outputTokens() {
    return members.stream().mapToLong(m -> m.prompt.outputTokens()).sum();
  }
}
