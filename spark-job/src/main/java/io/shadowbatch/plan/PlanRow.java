package io.shadowbatch.plan;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Comparator;

/**
 * What weighing a row takes, without its text.
 *
 * @param signature as {@link PrefixSignature} makes it
 * @param key of the request: rows of one signature and key ask for the same
 * @param bytes of the prompt below the job's root
 * @param outputTokens most tokens of one answer
 * @param samples answers asked for
 */
public record PlanRow(byte[] signature, String key, long bytes, int outputTokens, int samples)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** The order of partitions and within them: signatures as unsigned bytes, then keys. */
  public static final Comparator<PlanRow> ORDER =
      (a, b) -> compare(a.signature, a.key, b.signature, b.key);

  static int compare(byte[] signatureA, String keyA, byte[] signatureB, String keyB) {
    int order = Arrays.compareUnsigned(signatureA, signatureB);
    return order != 0 ? order : keyA.compareTo(keyB);
  }

  /**
   * Bytes of this prompt that the row before has too, as far as signatures tell.
   *
   * @param before in order; null for none
   */
  public long sharedBytes(PlanRow before) {
    if (before == null) return 0;
    if (Arrays.equals(signature, before.signature)) return bytes;
    int blocks = PrefixSignature.sharedBlocks(before.signature, signature);
    return Math.min(bytes, PrefixSignature.bytesOf(blocks));
  }

  /** Whether this row asks for what the row before asks for. */
  public boolean repeats(PlanRow before) {
    return before != null && ORDER.compare(before, this) == 0;
  }
}
