package io.shadowbatch.weights;

import java.util.Locale;

/**
 * Element types of tensors in model files: ids and block sizes as in ggml (ggml.h, ggml-common.h)
 * and the names of safetensors. Only some can be decoded; the others are known so that a file that
 * holds them can be opened and the refusal can name the type.
 */
public enum QuantType {
  F32(0, 1, 4, Coding.NEAREST),
  F16(1, 1, 2, Coding.NEAREST),
  BF16(30, 1, 2, Coding.NEAREST),
  Q4_0(2, 32, 18, Coding.EXACT),
  Q4_1(3, 32, 20, Coding.EXACT),
  Q5_0(6, 32, 22, Coding.EXACT),
  Q5_1(7, 32, 24, Coding.EXACT),
  Q8_0(8, 32, 34, Coding.EXACT),
  Q4_K(12, 256, 144, Coding.EXACT),
  Q5_K(13, 256, 176, Coding.EXACT),
  Q6_K(14, 256, 210, Coding.NEAREST),
  Q8_1(9, 32, 36, Coding.REFUSED),
  Q2_K(10, 256, 84, Coding.REFUSED),
  Q3_K(11, 256, 110, Coding.REFUSED),
  Q8_K(15, 256, 292, Coding.REFUSED),
  IQ2_XXS(16, 256, 66, Coding.REFUSED),
  IQ2_XS(17, 256, 74, Coding.REFUSED),
  IQ3_XXS(18, 256, 98, Coding.REFUSED),
  IQ1_S(19, 256, 50, Coding.REFUSED),
  IQ4_NL(20, 32, 18, Coding.REFUSED),
  IQ3_S(21, 256, 110, Coding.REFUSED),
  IQ2_S(22, 256, 82, Coding.REFUSED),
  IQ4_XS(23, 256, 136, Coding.REFUSED),
  IQ1_M(29, 256, 56, Coding.REFUSED),
  TQ1_0(34, 256, 54, Coding.REFUSED),
  TQ2_0(35, 256, 66, Coding.REFUSED),
  MXFP4(39, 32, 17, Coding.REFUSED),
  I8(24, 1, 1, Coding.REFUSED),
  I16(25, 1, 2, Coding.REFUSED),
  I32(26, 1, 4, Coding.REFUSED),
  I64(27, 1, 8, Coding.REFUSED),
  F64(28, 1, 8, Coding.REFUSED),
  BOOL(-1, 1, 1, Coding.REFUSED),
  U8(-1, 1, 1, Coding.REFUSED),
  U16(-1, 1, 2, Coding.REFUSED),
  U32(-1, 1, 4, Coding.REFUSED),
  U64(-1, 1, 8, Coding.REFUSED),
  F8_E4M3(-1, 1, 1, Coding.REFUSED),
  F8_E5M2(-1, 1, 1, Coding.REFUSED);

  private static final int FIRST_BLOCK_ID = 2;

  /** How a type goes into the packed form: 8-bit integers with a scale and a min. */
  public enum Coding {
    /** Every value is kept. */
    EXACT,
    /** Every group of 32 is rounded to 256 even steps. */
    NEAREST,
    /** Not decoded here. */
    REFUSED
  }

  private final int ggmlId;
  private final int blockElements;
  private final int blockBytes;
  private final Coding coding;

  QuantType(int ggmlId, int blockElements, int blockBytes, Coding coding) {
    this.ggmlId = ggmlId;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
    this.coding = coding;
  }

  /** The type with this ggml id, or null. */
  public static QuantType ofGgml(int id) {
    for (QuantType type : values()) {
      if (type.ggmlId == id && id >= 0) return type;
    }
    return null;
  }

  /** The type with this safetensors name, or null; block types have none. */
  public static QuantType ofSafetensors(String name) {
    for (QuantType type : values()) {
      if (type.blockElements == 1 && type.name().equals(name.toUpperCase(Locale.ROOT))) return type;
    }
    return null;
  }

  /** The id in GGUF files, or -1. */
  public int ggmlId() {
    return ggmlId;
  }

  /** Elements of a block; a row holds whole blocks. */
  public int blockElements() {
    return blockElements;
  }

  /** Bytes of a block. */
  public int blockBytes() {
    return blockBytes;
  }

  /** How the type goes into the packed form. */
  public Coding coding() {
    return coding;
  }

  /** Whether elements are stored one by one. */
  public boolean plain() {
    return blockElements == 1 && (ggmlId < FIRST_BLOCK_ID || this == BF16);
  }

  /** Bytes of a row of {@code columns} elements, a multiple of {@link #blockElements}. */
  public long rowBytes(long columns) {
    return Math.multiplyExact(columns / blockElements, (long) blockBytes);
  }
}
