package io.shadowbatch.kernels;

/**
 * Where the keys and values of a page lie. A page holds one tile of 64 consecutive positions for
 * every layer and KV head: a half of keys, then a half of values, which may also live apart. Both
 * are blocks in the order [layer][kvHead], each of {@link #blockBytes}.
 *
 * <pre>
 *        key block                      value block
 *  INT8  byte  key[d/4][64][4]          byte  value[16][d][4]
 *        float keyScale[64]             float valueScale[64], valueTop[64]
 *  FP16  half  key[d][64]               half  value[64][d]
 *  F32   float key[d][64]               float value[64][d]
 * </pre>
 *
 * <p>Keys are stored after RoPE; those of INT8 also after the rotation, and plus 128. Their value
 * [quad][dim][i] is of token 4 * quad + i; valueTop is the largest valueScale of the tokens 0..i of
 * the tile.
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

  /** Bytes of the key block, or of the value block, of one layer and KV head: a multiple of 64. */
  public int blockBytes() {
    return switch (codec) {
      case INT8 -> TILE * headDim + 2 * 4 * TILE;
      // The 192 spare bytes keep blocks from lying at equal offsets of a 4 KiB page, which costs
      // up to half the speed (store-to-load aliasing).
      case FP16 -> 2 * TILE * headDim + 192;
      case F32 -> 4 * TILE * headDim + 192;
    };
  }

  /** Bytes of the blocks of one layer in a half. */
  public int layerBytes() {
    return blockBytes() * kvHeads;
  }

  /** Offset in a half of the block of a layer and KV head. */
  public long blockOffset(int layer, int kvHead) {
    return (long) layer * layerBytes() + (long) kvHead * blockBytes();
  }

  /** Bytes of the keys, or of the values, of a page. */
  public long halfBytes() {
    return (long) layerBytes() * layers;
  }

  /** Bytes of a page. */
  public long pageBytes() {
    return 2 * halfBytes();
  }

  /**
   * Width of the rotation of the INT8 codec: the largest power of two, at most 64, that divides the
   * head.
   */
  public int rotationWidth() {
    return Math.min(64, Integer.lowestOneBit(headDim));
  }
}
