package io.shadowbatch.plan;

/**
 * A prefix that all prompts of a job share and every engine keeps: level 0, which no group pays.
 *
 * @param bytes length of the prefix
 * @param hashedFrom first byte that the job's signatures cover: 0, or {@code bytes} if they begin
 *     below the root
 */
public record PinnedRoot(long bytes, long hashedFrom) {

  /** Nothing is shared by all. */
  public static final PinnedRoot NONE = new PinnedRoot(0, 0);

  public PinnedRoot {
    if (bytes < 0 || (hashedFrom != 0 && hashedFrom != bytes)) {
      throw new IllegalArgumentException(
          "signatures must begin at byte 0 or below the root's %d bytes, got %d"
              .formatted(bytes, hashedFrom));
    }
  }

  /** The first {@code blocks} blocks of signatures that cover whole prompts. */
  public static PinnedRoot inside(int blocks) {
    return new PinnedRoot(PrefixSignature.bytesOf(blocks), 0);
  }

  /** Bytes in front of what the signatures cover. */
  public static PinnedRoot before(long bytes) {
    return new PinnedRoot(bytes, bytes);
  }

  /** Bytes of a prompt that its root and its first {@code blocks} blocks hold. */
  long prefixBytes(int blocks) {
    return blocks == 0 ? 0 : hashedFrom + PrefixSignature.bytesOf(blocks);
  }

  /** What is left to compute of so many leading bytes once the root is there. */
  long below(long prefixBytes) {
    return Math.max(0, prefixBytes - bytes);
  }
}
