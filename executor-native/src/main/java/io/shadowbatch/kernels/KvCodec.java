package io.shadowbatch.kernels;

/** How keys and values are stored in a tile of 64 tokens. */
public enum KvCodec {
  /** Roped keys and values as IEEE half floats; arithmetic in float32. */
  FP16,
  /** Rotated keys and values as 8-bit integers, one scale for each token and head. */
  INT8,
  /** Float32, for the float form of the reference only. */
  F32
}
