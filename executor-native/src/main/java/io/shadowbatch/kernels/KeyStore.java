package io.shadowbatch.kernels;

/** How the keys of a sealed prompt are stored for rows that read it sparsely. */
public enum KeyStore {
  /** The pages' own keys of codec INT8. */
  EXACT_INT8(KvCodec.INT8),
  /** The pages' own keys of codec FP16. */
  EXACT_FP16(KvCodec.FP16),
  /** Factors of low rank as 8-bit integers, one scale for each token and layer. */
  LOWRANK_INT8(null),
  /** Factors of low rank as IEEE half floats. */
  LOWRANK_FP16(null);

  private final KvCodec exact;

  KeyStore(KvCodec exact) {
    this.exact = exact;
  }

  /** The codec that pages must have if their own keys stay, or null for factors. */
  public KvCodec exactCodec() {
    return exact;
  }

  /** True if keys are replaced by factors. */
  public boolean lowRank() {
    return exact == null;
  }
}
