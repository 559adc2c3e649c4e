package io.shadowbatch.plan;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * Sort key of a prompt: chained hashes of its leading blocks, then a hash of the whole.
 *
 * <p>Entry j is a 64-bit hash of the bytes before the end of block j, written with the high byte
 * first; only whole blocks count, at most {@link #BLOCKS_MAX}, which hold 530,432 bytes. Prompts
 * that begin with the same blocks begin with the same entries, so that sorting signatures as
 * unsigned bytes walks the tree of blocks depth first. A collision only puts strangers side by
 * side.
 */
public final class PrefixSignature {

  /** Most blocks with an entry of their own. */
  public static final int BLOCKS_MAX = 64;

  private static final int ENTRY_BYTES = 8;
  private static final int WHOLE_BYTES = 16;
  private static final int BLOCK_BYTES = 256;
  private static final int[] BLOCK_ENDS = blockEnds();

  /** Looking it up costs as much as hashing a short prompt. */
  private static final ThreadLocal<MessageDigest> SHA_256 =
      ThreadLocal.withInitial(PrefixSignature::newSha256);

  private static final VarHandle LONGS =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

  private PrefixSignature() {}

  /** 256 bytes for the first 32 blocks, then the size doubles every 4 blocks. */
  private static int[] blockEnds() {
    int[] ends = new int[BLOCKS_MAX];
    int end = 0;
    for (int j = 0; j < BLOCKS_MAX; j++) {
      int doublings = j < 32 ? 0 : (j - 32) / 4 + 1;
      end += BLOCK_BYTES << doublings;
      ends[j] = end;
    }
    return ends;
  }

  /** Signature of a prompt's bytes. */
  public static byte[] of(byte[] prompt) {
    return of(prompt, sha256(prompt));
  }

  /** Signature of a prompt whose SHA-256 is known. */
  public static byte[] of(byte[] prompt, byte[] sha256) {
    return of(prompt, sha256, 0);
  }

  /**
   * Signature of what follows a prefix that all prompts of a job share: it sorts by the first bytes
   * that can differ, and its blocks reach that much further.
   *
   * @param sha256 of the whole prompt
   * @param rootBytes length of that prefix, at most the prompt's
   */
  public static byte[] of(byte[] prompt, byte[] sha256, int rootBytes) {
    return of(prompt, sha256, rootBytes, PrefixSignature::mixBlock);
  }

  /** Hash of the bytes up to {@code to}, given that of those up to {@code from}. */
  interface BlockHash {
    long of(long chain, byte[] bytes, int from, int to);
  }

  /** The same with another hash of blocks, so that tests can make blocks collide. */
  static byte[] of(byte[] prompt, byte[] sha256, int rootBytes, BlockHash hash) {
    int own = prompt.length - rootBytes;
    if (rootBytes < 0 || own < 0) {
      throw new IllegalArgumentException(
          "the root must be 0 to %d bytes of the prompt, got %d"
              .formatted(prompt.length, rootBytes));
    }
    int blocks = 0;
    while (blocks < BLOCKS_MAX && BLOCK_ENDS[blocks] <= own) blocks++;
    byte[] signature = new byte[blocks * ENTRY_BYTES + WHOLE_BYTES];
    long chain = 0x5348_4144_4f57_4b56L;
    int from = rootBytes;
    for (int j = 0; j < blocks; j++) {
      int to = rootBytes + BLOCK_ENDS[j];
      chain = hash.of(chain, prompt, from, to);
      LONGS.set(signature, j * ENTRY_BYTES, chain);
      from = to;
    }
    System.arraycopy(sha256, 0, signature, blocks * ENTRY_BYTES, WHOLE_BYTES);
    return signature;
  }

  /** Whether a signature ends with the hash of a whole prompt, as those of error rows do not. */
  static boolean isWhole(byte[] signature) {
    return signature.length >= WHOLE_BYTES
        && signature.length <= BLOCKS_MAX * ENTRY_BYTES + WHOLE_BYTES
        && signature.length % ENTRY_BYTES == 0;
  }

  /** Number of leading blocks that have an entry. */
  public static int blocks(byte[] signature) {
    return Math.max(0, signature.length - WHOLE_BYTES) / ENTRY_BYTES;
  }

  /** Number of leading blocks that two prompts share. */
  public static int sharedBlocks(byte[] a, byte[] b) {
    int limit = Math.min(blocks(a), blocks(b));
    int bytes = Arrays.mismatch(a, 0, limit * ENTRY_BYTES, b, 0, limit * ENTRY_BYTES);
    return bytes < 0 ? limit : bytes / ENTRY_BYTES;
  }

  /** Bytes of a prompt that its first {@code blocks} blocks hold. */
  public static long bytesOf(int blocks) {
    return blocks == 0 ? 0 : BLOCK_ENDS[blocks - 1];
  }

  /** Name of the prefix that the first {@code blocks} blocks make, at least one. */
  public static String nameOf(byte[] signature, int blocks) {
    return HexFormat.of().formatHex(signature, (blocks - 1) * ENTRY_BYTES, blocks * ENTRY_BYTES);
  }

  /** SHA-256 of bytes. */
  public static byte[] sha256(byte[] bytes) {
    return SHA_256.get().digest(bytes);
  }

  private static MessageDigest newSha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private static long mixBlock(long chain, byte[] bytes, int from, int to) {
    long hash = chain;
    for (int i = from; i < to; i += Long.BYTES) {
      hash = mix(hash ^ (long) LONGS.get(bytes, i)) + 0x9e37_79b9_7f4a_7c15L;
    }
    return mix(hash);
  }

  /** The finaliser of splitmix64: every input bit changes half of the output bits. */
  public static long mix(long value) {
    long z = value;
    z = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d0_49bb_1331_11ebL;
    return z ^ (z >>> 31);
  }
}
