package io.shadowbatch.kv;

import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvLayout;
import java.io.Serializable;

/**
 * How {@link ShadowKvStore} reads prompts (arXiv 2410.21465, section 4). What is read of a prompt
 * is a function of that prompt alone, so that an answer never depends on who else is computed.
 *
 * <p>Of a prompt of n tokens the first {@link #sparseTokens} are read in part: whole pages, so that
 * the exact tail behind them has {@code localTokens} to {@code localTokens + 63} tokens.
 *
 * @param chunkTokens tokens of a chunk: 4, 8 or 16
 * @param budgetTokens tokens that a row picks for each layer and KV head, besides the exact ones
 * @param outlierChunks chunks that every row reads, for each layer and KV head: those whose keys
 *     their mean stands for worst; the first chunk always comes on top
 * @param localTokens least tokens at a prompt's end that are read exactly
 * @param leastTokens prompts below are read exactly
 * @param attend whose picks a row reads
 * @param keys how keys of a prompt's sparse part are held on the device; null for what the codec
 *     stores, exactly
 * @param rank of low-rank keys, a multiple of 16 up to the width of all KV heads together; 0 for
 *     exact ones
 */
public record ShadowSpec(
    int chunkTokens,
    int budgetTokens,
    int outlierChunks,
    int localTokens,
    int leastTokens,
    Attend attend,
    KeyStore keys,
    int rank)
    implements Serializable {

  /** Whose picks a row reads. */
  public enum Attend {
    /** Its own. */
    PRIVATE,
    /**
     * Those of all rows of the step whose prompts begin with the same page, as far as it has those
     * pages: never less than its own, but answers then depend on who else is computed.
     */
    UNION
  }

  /** The settings of shadowkv.md's measurements: chunks of 8, 512 tokens, 16 outlier chunks. */
  public static final ShadowSpec STANDARD =
      new ShadowSpec(8, 512, 16, 32, 1024, Attend.PRIVATE, null, 0);

  public ShadowSpec {
    boolean chunk = chunkTokens == 4 || chunkTokens == 8 || chunkTokens == 16;
    if (!chunk || budgetTokens < chunkTokens || outlierChunks < 0 || localTokens < 1) {
      throw new IllegalArgumentException(
          ("shadow keys and values: chunk %d (4, 8 or 16), budget %d tokens (a chunk or more),"
                  + " outlier chunks %d (0 or more), local tokens %d (1 or more)")
              .formatted(chunkTokens, budgetTokens, outlierChunks, localTokens));
    }
    if (rank < 0 || rank > 0 != (keys != null && keys.lowRank())) {
      throw new IllegalArgumentException(
          "shadow keys: store %s of rank %d; low-rank stores have a rank, exact ones 0"
              .formatted(keys, rank));
    }
  }

  /** True if the device holds factors in place of keys. */
  public boolean lowRank() {
    return rank > 0;
  }

  /** The same with other keys on the device. */
  public ShadowSpec holding(KeyStore store, int ofRank) {
    return new ShadowSpec(
        chunkTokens, budgetTokens, outlierChunks, localTokens, leastTokens, attend, store, ofRank);
  }

  /** The same with other sizes. */
  public ShadowSpec with(int budget, int outliers) {
    return new ShadowSpec(
        chunkTokens, budget, outliers, localTokens, leastTokens, attend, keys, rank);
  }

  /** The same for prompts from another length on. */
  public ShadowSpec from(int tokens) {
    return new ShadowSpec(
        chunkTokens, budgetTokens, outlierChunks, localTokens, tokens, attend, keys, rank);
  }

  /** The same with other chunks. */
  public ShadowSpec chunks(int tokens) {
    return new ShadowSpec(
        tokens, budgetTokens, outlierChunks, localTokens, leastTokens, attend, keys, rank);
  }

  /** The same with other picks. */
  public ShadowSpec attending(Attend whose) {
    return new ShadowSpec(
        chunkTokens, budgetTokens, outlierChunks, localTokens, leastTokens, whose, keys, rank);
  }

  /** Chunks that a row picks. */
  public int budgetChunks() {
    return budgetTokens / chunkTokens;
  }

  /** Most chunks that are always read. */
  public int exactChunks() {
    return outlierChunks + 1;
  }

  /** Chunks of a page. */
  public int chunksPerPage() {
    return KvLayout.TILE / chunkTokens;
  }

  /** True if rows behind a prompt of so many tokens read less than all of it. */
  public boolean leavesOut(int promptTokens) {
    return sparseTokens(promptTokens) / chunkTokens > budgetChunks() + exactChunks();
  }

  /**
   * Tokens of a prompt that are read in part: a multiple of 64, or 0 if all are read. Low-rank keys
   * need the first segment, from which their basis is found for all prompts that begin alike.
   */
  public int sparseTokens(int promptTokens) {
    if (promptTokens < leastTokens) return 0;
    int whole = Math.max(0, promptTokens - localTokens) / KvLayout.TILE * KvLayout.TILE;
    return lowRank() && whole < LowRankKeys.SEGMENT_TOKENS ? 0 : whole;
  }
}
