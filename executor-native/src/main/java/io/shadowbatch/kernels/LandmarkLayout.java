package io.shadowbatch.kernels;

/**
 * Where the landmarks of a page lie: what is left of its keys to choose chunks by. Blocks are
 * ordered [layer][kvHead], each of {@link #blockBytes}.
 *
 * <pre>
 *  half  landmark[d][64 / chunkTokens]   mean of the chunk's stored keys
 *  float likeness[64 / chunkTokens]      least cosine between that mean and a key of the chunk
 * </pre>
 *
 * @param chunkTokens tokens of a chunk: 4, 8 or 16
 */
public record LandmarkLayout(KvLayout kv, int chunkTokens) {
  public LandmarkLayout {
    ChunkPicks.requireChunk("landmarks", chunkTokens);
  }

  /** Chunks of a page. */
  public int chunks() {
    return KvLayout.TILE / chunkTokens;
  }

  /** Bytes of the block of one layer and KV head, a multiple of 64. */
  public int blockBytes() {
    return (2 * kv.headDim() * chunks() + 4 * chunks() + 63) / 64 * 64;
  }

  /** Offset of the block of a layer and KV head. */
  public long blockOffset(int layer, int kvHead) {
    return ((long) layer * kv.kvHeads() + kvHead) * blockBytes();
  }

  /** Bytes of the landmarks of a page. */
  public long pageBytes() {
    return (long) blockBytes() * kv.kvHeads() * kv.layers();
  }
}
