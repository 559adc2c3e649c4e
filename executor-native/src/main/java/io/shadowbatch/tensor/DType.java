package io.shadowbatch.tensor;

/** Element types that kernels read and write. */
public enum DType {
  F32(4),
  I32(4),
  F16(2),
  BF16(2),
  I8(1),
  U8(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
