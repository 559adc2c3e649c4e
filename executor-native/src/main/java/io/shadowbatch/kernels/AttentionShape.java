package io.shadowbatch.kernels;

/**
 * The constants of one layer's attention.
 *
 * @param queryHeads a multiple of the layout's KV heads; query head h reads KV head h / (queryHeads
 *     / kvHeads)
 * @param scale multiplies every score, usually 1 / sqrt(headDim)
 * @param window a row at position p sees positions above p - window; 0 for all
 */
public record AttentionShape(KvLayout layout, int queryHeads, float scale, int window) {
  public AttentionShape {
    if (queryHeads <= 0 || queryHeads % layout.kvHeads() != 0 || window < 0) {
      throw new IllegalArgumentException(
          "attention: %d query heads over %d KV heads, window %d"
              .formatted(queryHeads, layout.kvHeads(), window));
    }
  }

  /** Query heads that share a KV head. */
  public int headsPerGroup() {
    return queryHeads / layout.kvHeads();
  }
}
