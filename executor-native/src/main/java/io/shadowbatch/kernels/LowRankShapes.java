package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;

/** The checks that guard the kernels of low rank: past them, native code trusts its arguments. */
public final class LowRankShapes {
  private static final int TILE = KvLayout.TILE;

  private LowRankShapes() {}

  public static void plainKeys(
      KvLayout layout, int layer, Tensor[] keys, int firstPosition, RopeTable rope, Tensor out) {
    int width = layout.kvHeads() * layout.headDim();
    int rows = TILE * keys.length;
    require(
        isFloat(out, width) && out.rows() == rows,
        "plainKeys: %d pages of %s need out [%d,%d], got %s",
        keys.length,
        layout,
        rows,
        width,
        text(out));
    layer("plainKeys", layout, layer);
    rope("plainKeys", layout, rope);
    require(
        firstPosition >= 0 && firstPosition % TILE == 0 && firstPosition + rows <= rope.positions(),
        "plainKeys: positions %d..%d, a multiple of %d and a rope table of %d",
        firstPosition,
        firstPosition + rows,
        TILE,
        rope.positions());
    for (Tensor page : keys) {
      bytes("plainKeys: key half", page, layout.halfBytes());
    }
  }

  public static void gram(Tensor x, Tensor mean, Tensor out) {
    int width = x.columns();
    require(
        width > 0
            && width % 16 == 0
            && isFloat(x, width)
            && isFloat(mean, width)
            && mean.rows() == 1
            && isFloat(out, width)
            && out.rows() == width,
        "gram: x %s (a multiple of 16 columns) needs mean [1,%d] and out [%d,%d], got %s and %s",
        text(x),
        width,
        width,
        width,
        text(mean),
        text(out));
  }

  public static void project(
      FactorLayout layout, int layer, Tensor x, LowRank basis, Tensor[] pages) {
    factors("project", layout, layer);
    basis("project", layout, basis);
    require(
        isFloat(x, layout.width()) && x.rows() == TILE * pages.length,
        "project: %d pages need x [%d,%d], got %s",
        pages.length,
        TILE * pages.length,
        layout.width(),
        text(x));
    for (Tensor page : pages) bytes("project: factor page", page, layout.pageBytes());
  }

  public static void rebuildKeys(FactorLayout layout, int layer, KeyChunks chunks, RopeTable rope) {
    factors("rebuildKeys", layout, layer);
    rope("rebuildKeys", layout.kv(), rope);
    int perPage = TILE / chunks.chunkTokens();
    for (int i = 0; i < chunks.size(); i++) {
      basis("rebuildKeys", layout, chunks.basis(i));
      bytes("rebuildKeys: factor page", chunks.factors(i), layout.pageBytes());
      bytes("rebuildKeys: key half", chunks.keys(i), layout.kv().halfBytes());
      require(
          within(chunks.chunk(i), perPage)
              && within(chunks.slot(i), perPage)
              && chunks.firstPosition(i) >= 0
              && chunks.firstPosition(i) + chunks.chunkTokens() <= rope.positions()
              && (chunks.head(i) == KeyChunks.ALL_HEADS
                  || within(chunks.head(i), layout.kv().kvHeads())),
          "rebuildKeys: item %d is chunk %d into chunk %d of %d a page, head %d of %d, position %d"
              + " and %d tokens of a rope table of %d",
          i,
          chunks.chunk(i),
          chunks.slot(i),
          perPage,
          chunks.head(i),
          layout.kv().kvHeads(),
          chunks.firstPosition(i),
          chunks.chunkTokens(),
          rope.positions());
    }
  }

  public static void fetchChunks(KvLayout layout, int layer, ChunkCopies copies) {
    layer("fetchChunks", layout, layer);
    int perPage = TILE / copies.chunkTokens();
    for (int i = 0; i < copies.size(); i++) {
      if (copies.keys(i) != null) bytes("fetchChunks: keys", copies.keys(i), layout.halfBytes());
      bytes("fetchChunks: values", copies.values(i), layout.halfBytes());
      bytes("fetchChunks: slot's keys", copies.toKeys(i), layout.halfBytes());
      bytes("fetchChunks: slot's values", copies.toValues(i), layout.halfBytes());
      require(
          within(copies.chunk(i), perPage)
              && within(copies.slot(i), perPage)
              && within(copies.head(i), layout.kvHeads()),
          "fetchChunks: item %d is chunk %d into chunk %d of %d a page, head %d of %d",
          i,
          copies.chunk(i),
          copies.slot(i),
          perPage,
          copies.head(i),
          layout.kvHeads());
    }
  }

  private static void factors(String op, FactorLayout layout, int layer) {
    require(
        layout.store().lowRank(),
        "%s: key store %s has no factors, only LOWRANK_INT8 and LOWRANK_FP16 have",
        op,
        layout.store());
    layer(op, layout.kv(), layer);
  }

  private static void layer(String op, KvLayout layout, int layer) {
    require(within(layer, layout.layers()), "%s: layer %d of %d", op, layer, layout.layers());
  }

  private static void rope(String op, KvLayout layout, RopeTable rope) {
    require(
        rope.rotaryDim() <= layout.headDim() && rope.rotaryDim() % 32 == 0,
        "%s: rotary width %d of heads of %d (a multiple of 32 is needed)",
        op,
        rope.rotaryDim(),
        layout.headDim());
  }

  private static void basis(String op, FactorLayout layout, LowRank basis) {
    Tensor v = basis.vectors();
    Tensor m = basis.mean();
    require(
        v.dtype() == DType.F16
            && v.rows() == layout.rank()
            && v.columns() == layout.width()
            && v.rowStride() == v.columns()
            && isFloat(m, layout.width())
            && m.rows() == 1,
        "%s: needs vectors F16 [%d,%d] without gaps and mean F32 [1,%d], got %s stride %d and %s",
        op,
        layout.rank(),
        layout.width(),
        layout.width(),
        text(v),
        v.rowStride(),
        text(m));
  }

  private static void bytes(String what, Tensor t, long bytes) {
    require(
        t.dtype() == DType.U8 && t.rows() == 1 && t.columns() == bytes,
        "%s: needs U8 [1,%d], got %s",
        what,
        bytes,
        text(t));
  }

  private static boolean within(int i, int size) {
    return i >= 0 && i < size;
  }

  private static boolean isFloat(Tensor t, int columns) {
    return t.dtype() == DType.F32 && t.columns() == columns;
  }

  private static String text(Tensor t) {
    return t.dtype() + " [" + t.rows() + "," + t.columns() + "]";
  }

  private static void require(boolean condition, String message, Object... values) {
    if (!condition) throw new IllegalArgumentException(message.formatted(values));
  }
}
