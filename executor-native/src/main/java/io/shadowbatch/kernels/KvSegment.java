package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;

/**
 * A run of stored tokens that a slice attends to, read whole or by picked chunks.
 *
 * <p>Dense: consecutive positions from {@code firstPosition}, a multiple of 64; entry e lies in
 * slot e % 64 of page e / 64. Picked: positions [0, length), of which each row and KV head reads
 * the chunks that {@code picks} names for it; chunk c lies in page c / (64 / chunkTokens), and the
 * pages need not be the sequence's own. The last two parts re-place a segment; a backend that
 * cannot serve one refuses it.
 *
 * @param keys U8 tensors, the key half of each page, [1, halfBytes]
 * @param values U8 tensors, the value half of each page, [1, halfBytes]
 * @param length entries that carry data once the step's own rows are appended
 * @param picks chunks that each row reads, or null for all
 * @param positions position of each entry, or null for consecutive ones
 * @param logBias added to the score of each entry, or null
 */
public record KvSegment(
    Tensor[] keys,
    Tensor[] values,
    int firstPosition,
    int length,
    ChunkPicks picks,
    int[] positions,
    float[] logBias) {

  public KvSegment {
    int tiles = (length + KvLayout.TILE - 1) / KvLayout.TILE;
    int needed = picks == null ? tiles : 1;
    if (firstPosition % KvLayout.TILE != 0
        || length <= 0
        || keys.length < needed
        || values.length != keys.length) {
      throw new IllegalArgumentException(
          ("kv segment: %d entries from position %d in %d key and %d value halves"
                  + " (a start at a multiple of %d and %d halves of each are needed)")
              .formatted(length, firstPosition, keys.length, values.length, KvLayout.TILE, needed));
    }
    if (picks != null && (firstPosition != 0 || length % KvLayout.TILE != 0)) {
      throw new IllegalArgumentException(
          "kv segment: %d picked entries from position %d (whole pages from 0 are needed)"
              .formatted(length, firstPosition));
    }
  }

  /** All of {@code length} consecutive tokens from {@code firstPosition}. */
  public static KvSegment dense(Tensor[] keys, Tensor[] values, int firstPosition, int length) {
    return new KvSegment(keys, values, firstPosition, length, null, null, null);
  }

  /** Picked chunks of positions [0, length). */
  public static KvSegment picked(Tensor[] keys, Tensor[] values, int length, ChunkPicks picks) {
    return new KvSegment(keys, values, 0, length, picks, null, null);
  }

  /** True if nothing but consecutive tokens is asked for. */
  public boolean isDense() {
    return picks == null && !isMoved();
  }

  /** True if entries have other positions or scores than their keys give. */
  public boolean isMoved() {
    return positions != null || logBias != null;
  }
}
