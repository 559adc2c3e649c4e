package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;

/**
 * A run of stored tokens that a slice attends to. Entry e lies in slot e % 64 of {@code pages[e /
 * 64]}.
 *
 * <p>A dense segment has consecutive positions from {@code firstPosition}, a multiple of 64. The
 * three optional parts make it sparse or re-placed; a backend that cannot serve one refuses it by
 * name.
 *
 * @param pages U8 tensors of one page each, [1, pageBytes]
 * @param length entries that carry data once the step's own rows are appended
 * @param selection chosen entries for each KV head, ascending, or null for all
 * @param positions position of each entry, or null for consecutive ones
 * @param logBias added to the score of each entry, or null
 */
public record KvSegment(
    Tensor[] pages,
    int firstPosition,
    int length,
    int[][] selection,
    int[] positions,
    float[] logBias) {

  public KvSegment {
    int tiles = (length + KvLayout.TILE - 1) / KvLayout.TILE;
    if (firstPosition % KvLayout.TILE != 0 || length <= 0 || pages.length < tiles) {
      throw new IllegalArgumentException(
          ("kv segment: %d entries from position %d in %d pages"
                  + " (a start at a multiple of %d and %d pages are needed)")
              .formatted(length, firstPosition, pages.length, KvLayout.TILE, tiles));
    }
  }

  /** All of {@code length} consecutive tokens from {@code firstPosition}. */
  public static KvSegment dense(Tensor[] pages, int firstPosition, int length) {
    return new KvSegment(pages, firstPosition, length, null, null, null);
  }

  /** True if nothing but consecutive tokens is asked for. */
  public boolean isDense() {
    return selection == null && positions == null && logBias == null;
  }
}
