package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;

/**
 * The affine space of low rank that the keys of one layer lie near, all heads together, before
 * RoPE: a key k has the factors a = (k - mean) * vectors^T, and is about a * vectors + mean.
 *
 * <p>The mean stays float32, because key biases may be a hundred times as large as what varies.
 *
 * @param vectors F16 [rank, kvHeads * headDim], rows orthonormal up to rounding, no gaps
 * @param mean F32 [1, kvHeads * headDim]
 */
public record LowRank(Tensor vectors, Tensor mean) {}
