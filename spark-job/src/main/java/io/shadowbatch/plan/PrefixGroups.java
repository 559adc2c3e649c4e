package io.shadowbatch.plan;

/** Which prefix group a prompt of a sorted stream belongs to. */
public final class PrefixGroups {

  private PrefixGroups() {}

  /**
   * Name of the longest prefix that a prompt shares with a neighbour in sorted order, or null if it
   * shares none.
   *
   * @param before the signature before it, or null at the start
   * @param after the signature after it, or null at the end
   */
  public static String name(byte[] before, byte[] signature, byte[] after) {
    int blocks = 0;
    if (before != null) blocks = PrefixSignature.sharedBlocks(before, signature);
    if (after != null) blocks = Math.max(blocks, PrefixSignature.sharedBlocks(signature, after));
    return blocks == 0 ? null : PrefixSignature.nameOf(signature, blocks);
  }
}
