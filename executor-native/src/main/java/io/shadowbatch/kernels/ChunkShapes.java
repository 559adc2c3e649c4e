package io.shadowbatch.kernels;

import static io.shadowbatch.kernels.Shapes.isFloat;
import static io.shadowbatch.kernels.Shapes.require;
import static io.shadowbatch.kernels.Shapes.text;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;

/** The checks of the operations on chunks, as {@link Shapes} has those of the others. */
public final class ChunkShapes {
  private ChunkShapes() {}

  public static void summarise(LandmarkLayout layout, Tensor[] keys, Tensor[] landmarks) {
    require(
        keys.length == landmarks.length,
        "summarise: %d key halves into %d pages of landmarks",
        keys.length,
        landmarks.length);
    for (int i = 0; i < keys.length; i++) {
      half("summarise", layout.kv(), keys[i]);
      landmarks("summarise", layout, landmarks[i]);
    }
  }

  private static void half(String op, KvLayout layout, Tensor t) {
    require(
        t.dtype() == DType.U8 && t.columns() == layout.halfBytes(),
        "%s: half page %s, needed is U8 [1,%d]",
        op,
        text(t),
        layout.halfBytes());
  }

  private static void landmarks(String op, LandmarkLayout layout, Tensor t) {
    require(
        t.dtype() == DType.U8 && t.columns() == layout.pageBytes(),
        "%s: landmarks %s, needed is U8 [1,%d]",
        op,
        text(t),
        layout.pageBytes());
  }

  public static void select(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      ChunkView view,
      RopeTable rope,
      ChunkPicks picks) {
    int width = shape.queryHeads() * shape.layout().headDim();
    require(
        isFloat(q, width) && q.rows() >= batch.size(),
        "selectChunks: %d rows need q [%d,%d], got %s",
        batch.size(),
        batch.size(),
        width,
        text(q));
    require(shape.window() == 0, "selectChunks: a window of %d; picks need none", shape.window());
    Shapes.layer("selectChunks", shape, layer, view.layout().kv(), rope);
    require(
        view.slices().size() == batch.slices().size()
            && view.layout().chunkTokens() == picks.chunkTokens()
            && picks.ids().rows() >= batch.size() * shape.layout().kvHeads(),
        "selectChunks: chunks of %d tokens for %d slices, picks of %d tokens and %d rows;"
            + " needed are %d slices and %d rows",
        view.layout().chunkTokens(),
        view.slices().size(),
        picks.chunkTokens(),
        picks.ids().rows(),
        batch.slices().size(),
        batch.size() * shape.layout().kvHeads());
    for (int s = 0; s < view.slices().size(); s++) {
      if (view.slices().get(s) == null) continue;
      chunks(view.layout(), layer, view.slices().get(s), picks);
      for (int row = batch.slices().get(s).firstRow();
          row < batch.slices().get(s).endRow();
          row++) {
        int position = batch.positions()[row];
        require(
            position >= 0 && position < rope.positions(),
            "selectChunks: row %d at position %d, rope table of %d",
            row,
            position,
            rope.positions());
      }
    }
  }

  private static void chunks(
      LandmarkLayout layout, int layer, ChunkView.Chunks chunks, ChunkPicks picks) {
    Tensor exact = chunks.exact();
    int heads = layout.kv().kvHeads();
    int all = chunks.landmarks().length * layout.chunks();
    require(
        exact.dtype() == DType.I32
            && exact.rows() == layout.kv().layers() * heads
            && chunks.budgetChunks() >= 0,
        "selectChunks: exact %s and a budget of %d chunks; needed are I32 [%d,1 + most] and 0..",
        text(exact),
        chunks.budgetChunks(),
        layout.kv().layers() * heads);
    if (exact.storage().bytes() == null) return; // its owner wrote it by the same rules
    for (int row = layer * heads; row < (layer + 1) * heads; row++) {
      int count = exact.i32(row, 0);
      require(
          count >= 0
              && count < exact.columns()
              && Math.min(all, count + chunks.budgetChunks()) <= picks.most(),
          "selectChunks: %d exact chunks of at most %d and a budget of %d of %d;"
              + " a row of picks has room for %d",
          count,
          exact.columns() - 1,
          chunks.budgetChunks(),
          all,
          picks.most());
      ascending("selectChunks: exact", exact, row, all);
    }
  }

  private static void ascending(String what, Tensor ids, int row, int all) {
    int previous = -1;
    for (int i = 1; i <= ids.i32(row, 0); i++) {
      int id = ids.i32(row, i);
      require(
          id > previous && id < all,
          "%s chunk %d after %d in row %d; needed are rising ids below %d",
          what,
          id,
          previous,
          row,
          all);
      previous = id;
    }
  }

  /** Of attention: the picks of the rows that read by them. */
  static void picks(AttentionShape shape, TokenBatch batch, KvView view) {
    ChunkPicks picks = view.picks();
    Tensor ids = picks.ids();
    int heads = shape.layout().kvHeads();
    require(
        shape.window() == 0, "attend: a window of %d with picked chunks; only 0", shape.window());
    require(
        ids.rows() >= batch.size() * heads,
        "attend: %d rows of %d KV heads need picks of %d rows, got %d",
        batch.size(),
        heads,
        batch.size() * heads,
        ids.rows());
    if (ids.storage().bytes() == null) return;
    for (int s = 0; s < batch.slices().size(); s++) {
      if (view.picked(s) == null) continue;
      int all = view.picked(s).keys().length * (KvLayout.TILE / picks.chunkTokens());
      Slice slice = batch.slices().get(s);
      for (int row = slice.firstRow() * heads; row < slice.endRow() * heads; row++) {
        int count = ids.i32(row, 0);
        require(
            count >= 0 && count <= picks.most(),
            "attend: %d chunks in row %d of the picks, there is room for 0..%d",
            count,
            row,
            picks.most());
        for (int i = 1; i <= count; i++) {
          int id = ids.i32(row, i);
          require(
              id >= 0 && id < all,
              "attend: chunk %d in row %d of the picks, the segment's pages have %d",
              id,
              row,
              all);
        }
      }
    }
  }

  public static void mass(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor state,
      Tensor mass) {
    int width = shape.queryHeads() * shape.layout().headDim();
    require(
        isFloat(q, width)
            && isFloat(state, 2 * shape.queryHeads())
            && q.rows() >= batch.size()
            && state.rows() >= batch.size(),
        "attentionMass: %d rows need q [%d,%d] and state [%d,%d], got %s and %s",
        batch.size(),
        batch.size(),
        width,
        batch.size(),
        2 * shape.queryHeads(),
        text(q),
        text(state));
    Shapes.attention("attentionMass", shape, layer, batch, view, rope);
    require(view.picks() == null, "attentionMass: a picked segment; all slices must be dense");
    int longest = 0;
    for (Slice slice : batch.slices()) {
      longest = Math.max(longest, batch.positions()[slice.endRow() - 1] + 1);
    }
    int rows = batch.slices().size() * shape.layout().kvHeads();
    require(
        mass.dtype() == DType.F32 && mass.rows() >= rows && mass.columns() >= longest,
        "attentionMass: mass %s, needed is F32 [%d,%d]",
        text(mass),
        rows,
        longest);
  }
}
