package io.shadowbatch.kernels;

/**
 * Where the factors of a page's keys lie. A factor page holds, for the 64 tokens of a page, one
 * block for each layer: the keys of all heads together before RoPE, centred, on the {@code rank}
 * directions of the layer's {@link LowRank}.
 *
 * <pre>
 *  LOWRANK_FP16  half  a[64][rank]
 *  LOWRANK_INT8  byte  a[64][rank]    plus 128
 *                float scale[64]      a factor is (byte - 128) * scale of its token
 * </pre>
 *
 * @param rank a multiple of 16, at most kvHeads * headDim; 0 for exact keys, which have no factors
 */
public record FactorLayout(KvLayout kv, KeyStore store, int rank) {

  public FactorLayout {
    int width = kv.kvHeads() * kv.headDim();
    boolean fits =
        store.lowRank()
            ? rank >= 16 && rank % 16 == 0 && rank <= width
            : rank == 0 && store.exactCodec() == kv.codec();
    if (!fits) {
      throw new IllegalArgumentException(
          ("key store %s of rank %d on pages of %s: a low-rank store needs a rank of 16, 32, .. up"
                  + " to the width of all heads, %d; an exact one rank 0 and pages of its codec")
              .formatted(store, rank, kv.codec(), width));
    }
  }

  /** Width of all heads together. */
  public int width() {
    return kv.kvHeads() * kv.headDim();
  }

  /** Bytes of the block of one layer, a multiple of 64. */
  public int blockBytes() {
    return switch (store) {
      case LOWRANK_INT8 -> KvLayout.TILE * rank + 4 * KvLayout.TILE;
      case LOWRANK_FP16 -> 2 * KvLayout.TILE * rank;
      case EXACT_INT8, EXACT_FP16 -> 0;
    };
  }

  /** Bytes of a factor page. */
  public int pageBytes() {
    return blockBytes() * kv.layers();
  }

  /** Bytes of the bases of all layers. */
  public long basisBytes() {
    return store.lowRank() ? (long) kv.layers() * layerBasisBytes() : 0;
  }

  /** Bytes of the basis of one layer. */
  public int layerBasisBytes() {
    return store.lowRank() ? 2 * rank * width() + 4 * width() : 0;
  }
}
