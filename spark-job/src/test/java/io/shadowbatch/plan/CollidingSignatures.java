package io.shadowbatch.plan;

/** Signatures whose blocks have one of four hashes, whatever they hold. */
public final class CollidingSignatures {

  private CollidingSignatures() {}

  /** The hash of the whole prompt is as it should be. */
  public static byte[] of(byte[] prompt) {
    return of(prompt, PrefixSignature.sha256(prompt));
  }

  /** With a hash of the whole prompt that may collide as well. */
  public static byte[] of(byte[] prompt, byte[] sha256) {
    return PrefixSignature.of(
        prompt, sha256, 0, (chain, bytes, from, to) -> 4 * chain + (bytes[from] & 3));
  }
}
