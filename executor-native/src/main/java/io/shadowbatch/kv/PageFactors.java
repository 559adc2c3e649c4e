package io.shadowbatch.kv;

import io.shadowbatch.tensor.Tensor;

/**
 * The low-rank keys of a page.
 *
 * @param basis in which they are
 * @param factors U8 [1, factor page bytes]
 */
record PageFactors(LowRankBasis basis, Tensor factors) {}
