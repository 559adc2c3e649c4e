package io.shadowbatch.kv;

import io.shadowbatch.tensor.Tensor;

/**
 * A complete prompt that rows behind it read in part.
 *
 * @param promptTokens rows from this position on read sparsely
 * @param sparseTokens positions [0, sparseTokens) are read by picks, a multiple of 64
 * @param pages of those positions
 * @param serials of the pages
 * @param landmarks U8 [1, landmark page bytes] of each page
 * @param exactChunks numbers of the chunks that every row reads, ascending, [layers * kvHeads][..]
 * @param exact block with the same for kernels: I32 [layers * kvHeads, 1 + most], their count, then
 *     their numbers
 * @param factors of each page, or null where keys are exact
 */
record SparsePrompt(
    int promptTokens,
    int sparseTokens,
    int[] pages,
    long[] serials,
    Tensor[] landmarks,
    int[][] exactChunks,
    BlockPool.Block exact,
    PageFactors[] factors) {}
