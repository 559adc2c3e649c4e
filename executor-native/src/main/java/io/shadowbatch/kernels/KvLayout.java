package io.shadowbatch.kernels;

/**
 * Where the keys and values of a page lie. A page holds one tile of 64 consecutive positions for
 * every layer and KV head; the blocks are ordered [layer][kvHead], each of {@link #blockBytes}.
 *
 * <pre>
 *  INT8  byte  key[d/4][64][4]    key + 128, after RoPE and rotation
 *        byte  value[16][d][4]    value[quad][dim][i] is token 4 * quad + i
 *        float keyScale[64], valueScale[64]
 *        float valueTop[64]       largest valueScale of the tokens 0..i of the tile
 *  FP16  half  key[d][64], value[64][d]   keys after RoPE
 *  F32   float key[d][64], value[64][d]   keys after RoPE
 * </pre>
 *
 * @param headDim width of a head, a multiple of 16, at most 256
 */
public record KvLayout(KvCodec codec, int layers, int kvHeads, int headDim) {
  /** Tokens of a tile and of a page. */
  public static final int TILE = 64;

  public KvLayout {
    if (layers <= 0 || kvHeads <= 0 || headDim < 16 || headDim > 256 || headDim % 16 != 0) {
      throw new IllegalArgumentException(
          "kv layout: layers %d, kvHeads %d, headDim %d (a multiple of 16 up to 256 is needed)"
              .formatted(layers, kvHeads, headDim));
    }
  }

  /** Bytes of the block of one layer and KV head, a multiple of 64. */
  public int blockBytes() {
    return switch (codec) {
      case INT8 -> 2 * TILE * headDim + 3 * 4 * TILE;
      // The 192 spare bytes keep blocks from lying at equal offsets of a 4 KiB page, which costs
      // up to half the speed (store-to-load aliasing).
      case FP16 -> 2 * 2 * TILE * headDim + 192;
      case F32 -> 2 * 4 * TILE * headDim + 192;
    };
  }

  /** Bytes of the blocks of one layer in a page. */
  public int layerBytes() {
    return blockBytes() * kvHeads;
  }

  /** Bytes of a page. */
  public long pageBytes() {
    return (long) layerBytes() * layers;
  }

  /**
   * Width of the rotation of the INT8 codec: the largest power of two, at most 64, that divides the
   * head.
   */
  public int rotationWidth() {
    return Math.min(64, Integer.lowestOneBit(headDim));
  }
}
