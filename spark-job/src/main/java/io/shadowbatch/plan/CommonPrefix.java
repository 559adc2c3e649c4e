package io.shadowbatch.plan;

import java.util.Arrays;

/**
 * The leading bytes that all prompts of a set share, found by an associative and commutative
 * reduction. Compares bytes and not hashes, so that it is exact at any length up to {@link
 * #BYTES_MAX} and no collision can lengthen it. It may end inside a UTF-8 character.
 */
public final class CommonPrefix {

  /** Longest prefix kept; what is shared beyond it is left to the signatures. */
  public static final int BYTES_MAX = 1 << 21;

  /** Of no prompts: the neutral element. */
  public static final CommonPrefix NONE = new CommonPrefix(new byte[0], -1);

  private final byte[] witness;
  private final int length;

  private CommonPrefix(byte[] witness, int length) {
    this.witness = witness;
    this.length = length;
  }

  /** Of one prompt: all of it. Keeps the array. */
  public static CommonPrefix of(byte[] prompt) {
    return new CommonPrefix(prompt, Math.min(prompt.length, BYTES_MAX));
  }

  /** With one more prompt. */
  public CommonPrefix with(byte[] prompt) {
    if (length < 0) return of(prompt);
    return shortened(prompt, Math.min(prompt.length, length));
  }

  /** With the prompts of another set. */
  public CommonPrefix with(CommonPrefix other) {
    if (length < 0) return other;
    if (other.length < 0) return this;
    return shortened(other.witness, Math.min(other.length, length));
  }

  private CommonPrefix shortened(byte[] other, int limit) {
    int at = Arrays.mismatch(witness, 0, limit, other, 0, limit);
    int shared = at < 0 ? limit : at;
    return shared == length ? this : new CommonPrefix(witness, shared);
  }

  /** Whether there was a prompt at all. */
  public boolean isKnown() {
    return length >= 0;
  }

  /** Length in bytes; 0 if there was no prompt. */
  public int length() {
    return Math.max(0, length);
  }

  /** The shared bytes, copied: {@link #of} makes the same value of them elsewhere. */
  public byte[] bytes() {
    return Arrays.copyOf(witness, length());
  }

  /** The root for signatures made by {@link PrefixSignature#of(byte[], byte[], int)} below it. */
  public PinnedRoot root() {
    return PinnedRoot.before(length());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CommonPrefix that
        && length == that.length
        && Arrays.equals(witness, 0, length(), that.witness, 0, length());
  }

  @Override
  public int hashCode() {
    return length;
  }
}
