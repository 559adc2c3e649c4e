package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;

/**
 * Keys of low rank, after ShadowKV (Sun et al. 2024, arXiv 2410.21465, section 4): keys before RoPE
 * lie near a space of few dimensions, so that of a prompt only their factors in it are kept, and
 * the keys that a row reads are rebuilt. Unlike the paper's, factors are centred and vectors
 * orthonormal, so that later tokens can be projected too.
 *
 * <p>D = kvHeads * headDim. All sums are float32 chains of fused multiply-adds in the order said
 * here, so that no result depends on what else a call computes. Errors are {@link
 * IllegalArgumentException} with actual and expected shapes.
 */
public interface LowRankKernels {

  /**
   * The keys of complete pages as they were before RoPE, as far as the codec kept them: stored
   * number times scale, rotated back, turned back by the angle of the position.
   *
   * @param keys key halves of pages with consecutive positions, U8 [1, halfBytes]
   * @param firstPosition of the first page, a multiple of 64
   * @param out F32 [64 * keys.length, D]
   */
  void plainKeys(
      KvLayout layout, int layer, Tensor[] keys, int firstPosition, RopeTable rope, Tensor out);

  /**
   * out[i][j] = sum over rows t, ascending from 0, of (x[t][i] - mean[i]) * (x[t][j] - mean[j]).
   *
   * @param x F32 [n, D], D a multiple of 16
   * @param mean F32 [1, D]
   * @param out F32 [D, D], symmetric
   */
  void gram(Tensor x, Tensor mean, Tensor out);

  /**
   * Writes the factors of complete pages into the blocks of a layer: a[t][i] = sum over columns j,
   * ascending from 0, of (x[t][j] - mean[j]) * vectors[i][j]; rounded to half (clamped to finite
   * ones), or to scale = top / 127 and the nearest of a * (127 / top), top the largest magnitude of
   * the token, at least 1e-30.
   *
   * @param x F32 [64 * pages.length, D]
   * @param pages factor pages, U8 [1, layout.pageBytes]
   */
  void project(FactorLayout layout, int layer, Tensor x, LowRank basis, Tensor[] pages);

  /**
   * Rebuilds the keys of chunks from their factors and stores them as {@link Kernels#append} would:
   * key[j] = mean[j] + sum over i, ascending, of a[i] * vectors[i][j] (the mean is where the chain
   * begins), RoPE at the token's own position, then the codec. Other slots stay as they are.
   */
  void rebuildKeys(FactorLayout layout, int layer, KeyChunks chunks, RopeTable rope);

  /**
   * Copies chunks of values, and of keys where they are asked for, as they are stored. Other slots
   * stay as they are; valueTop, which depends on the other tokens of a tile, is not written.
   */
  void fetchChunks(KvLayout layout, int layer, ChunkCopies copies);
}
