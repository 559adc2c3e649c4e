package io.shadowbatch.kv;

import io.shadowbatch.kernels.KvLayout;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Which chunks of a complete prompt are kept, for all rows behind it.
 *
 * @param budgetTokens kept of the prompt's whole pages, besides its end, for each layer and KV head
 * @param queries how many of the prompt's last queries choose, by the attention they pay: all of
 *     them as in H2O (arXiv 2306.14048), a window as in SnapKV (arXiv 2404.14469), or 0 to keep the
 *     first chunk and the latest as in StreamingLLM (arXiv 2309.17453)
 */
public record Eviction(int budgetTokens, int queries) {
  /** Tokens of a chunk. */
  static final int CHUNK = 8;

  /** Least tokens at a prompt's end that are kept on top. */
  private static final int LOCAL = 32;

  public Eviction {
    if (budgetTokens < CHUNK || queries < 0) {
      throw new IllegalArgumentException(
          "eviction: budget %d tokens (%d or more), %d queries (0 or more)"
              .formatted(budgetTokens, CHUNK, queries));
    }
  }

  /** Tokens of a prompt of which chunks are kept: whole pages, the end apart. */
  int sparseTokens(int promptTokens) {
    return Math.max(0, promptTokens - LOCAL) / KvLayout.TILE * KvLayout.TILE;
  }

  /**
   * Chunks to keep, ascending.
   *
   * @param sparseTokens to choose from
   * @param mass attention to each position, or null to keep the first and the latest
   */
  int[] chosen(int sparseTokens, float[] mass) {
    int chunks = sparseTokens / CHUNK;
    int budget = Math.min(chunks, budgetTokens / CHUNK);
    BitSet kept = new BitSet(chunks);
    if (mass == null) {
      kept.set(0);
      kept.set(chunks - budget + 1, chunks);
      return kept.stream().toArray();
    }
    double[] sums = new double[chunks];
    for (int i = 0; i < chunks * CHUNK; i++) sums[i / CHUNK] += mass[i];
    Integer[] order = new Integer[chunks];
    Arrays.setAll(order, i -> i);
    // Stable: of equals the earlier one comes first.
    Arrays.sort(order, (a, b) -> Double.compare(sums[b], sums[a]));
    for (int i = 0; i < budget; i++) kept.set(order[i]);
    return kept.stream().toArray();
  }
}
