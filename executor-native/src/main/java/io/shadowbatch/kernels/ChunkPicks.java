package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;

/**
 * The chunks of a picked segment that each row and KV head reads; written anew for every layer.
 *
 * @param ids I32 [rows * kvHeads, 1 + most]: row {@code r * kvHeads + h} holds, for token row r of
 *     the batch and KV head h, a count and then that many chunk ids in the order of their
 *     positions, which is the order of the sums. Rows of dense slices mean nothing.
 * @param chunkTokens tokens of a chunk: 4, 8 or 16
 */
public record ChunkPicks(Tensor ids, int chunkTokens) {
  public ChunkPicks {
    requireChunk("chunk picks", chunkTokens);
    if (ids.dtype() != DType.I32 || ids.columns() < 2) {
      throw new IllegalArgumentException(
          "chunk picks: ids %s [%d,%d], needed are I32 [rows * kvHeads, 1 + most], most > 0"
              .formatted(ids.dtype(), ids.rows(), ids.columns()));
    }
  }

  /** Most chunks of a row. */
  public int most() {
    return ids.columns() - 1;
  }

  static void requireChunk(String what, int chunkTokens) {
    if (chunkTokens != 4 && chunkTokens != 8 && chunkTokens != 16) {
      throw new IllegalArgumentException(
          "%s: chunks of %d tokens, possible are 4, 8 and 16".formatted(what, chunkTokens));
    }
  }
}
