package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/** The checks that guard every kernel: past them, native code trusts its arguments. */
public final class Shapes {
  private Shapes() {}

  public static void copy(Tensor from, Tensor to) {
    require(
        from.dtype() == to.dtype() && from.rows() == to.rows() && from.columns() == to.columns(),
        "copy: %s to %s",
        text(from),
        text(to));
  }

  public static void embed(PackedMatrix table, int[] ids, int count, Tensor out) {
    require(
        count <= ids.length && count <= out.rows() && isFloat(out, table.columns()),
        "embed: %d ids of %d, table [%d,%d], out %s",
        count,
        ids.length,
        table.rows(),
        table.columns(),
        text(out));
    for (int i = 0; i < count; i++) {
      require(
          ids[i] >= 0 && ids[i] < table.rows(),
          "embed: token %d of a vocabulary of %d",
          ids[i],
          table.rows());
    }
  }

  public static void norm(Tensor x, Tensor weight, int dim, Activations out) {
    require(
        dim % 16 == 0 && isFloat(x, dim) && isFloat(weight, dim) && room(out, x.rows(), dim),
        "rmsNorm: x %s and weight %s need out [%d,%d], got [%d,%d] (a multiple of 16 columns)",
        text(x),
        text(weight),
        x.rows(),
        dim,
        out.rows(),
        out.columns());
  }

  public static void headNorm(Tensor x, int headDim, Tensor weight) {
    require(
        headDim > 0
            && headDim % 16 == 0
            && x.columns() % headDim == 0
            && isFloat(x, x.columns())
            && isFloat(weight, headDim),
        "headNorm: x %s, heads of %d, weight %s",
        text(x),
        headDim,
        text(weight));
  }

  public static void quantize(Tensor x, Activations out) {
    require(
        isFloat(x, x.columns()) && room(out, x.rows(), x.columns()),
        "quantize: x %s needs out [%d,%d], got [%d,%d]",
        text(x),
        x.rows(),
        x.columns(),
        out.rows(),
        out.columns());
  }

  public static void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out) {
    require(
        x.columns() == w.columns()
            && x.rows() >= out.rows()
            && isFloat(out, w.rows())
            && (bias == null || isFloat(bias, w.rows()))
            && (!x.quantised() || w.form() == PackedMatrix.Form.U8_GROUP32),
        "matmul: x [%d,%d] and w %s [%d,%d], bias %s need out [n,%d], got %s",
        x.rows(),
        x.columns(),
        w.form(),
        w.rows(),
        w.columns(),
        bias == null ? "none" : text(bias),
        w.rows(),
        text(out));
  }

  public static void swiGlu(Tensor gateUp, Activations out) {
    require(
        gateUp.columns() % 64 == 0
            && isFloat(gateUp, gateUp.columns())
            && room(out, gateUp.rows(), gateUp.columns() / 2),
        "swiGlu: gateUp %s needs out [%d,%d], got [%d,%d]",
        text(gateUp),
        gateUp.rows(),
        gateUp.columns() / 2,
        out.rows(),
        out.columns());
  }

  public static void gather(Tensor x, int[] rows, int count, Tensor out) {
    require(
        count <= rows.length
            && count <= out.rows()
            && isFloat(x, x.columns())
            && isFloat(out, x.columns()),
        "gatherRows: %d rows of %s into %s",
        count,
        text(x),
        text(out));
    for (int i = 0; i < count; i++) {
      require(rows[i] >= 0 && rows[i] < x.rows(), "gatherRows: row %d of %d", rows[i], x.rows());
    }
  }

  public static void append(
      AttentionShape shape,
      int layer,
      Tensor k,
      Tensor v,
      TokenBatch batch,
      KvView view,
      RopeTable rope) {
    int width = shape.layout().kvHeads() * shape.layout().headDim();
    require(
        isFloat(k, width)
            && isFloat(v, width)
            && k.rows() >= batch.size()
            && v.rows() >= batch.size(),
        "append: %d rows need k and v [%d,%d], got %s and %s",
        batch.size(),
        batch.size(),
        width,
        text(k),
        text(v));
    attention("append", shape, layer, batch, view, rope);
  }

  public static void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor out,
      Tensor state) {
    int width = shape.queryHeads() * shape.layout().headDim();
    require(
        isFloat(q, width)
            && isFloat(out, width)
            && q.rows() >= batch.size()
            && out.rows() >= batch.size(),
        "attend: %d rows need q and out [%d,%d], got %s and %s",
        batch.size(),
        batch.size(),
        width,
        text(q),
        text(out));
    require(
        state == null || isFloat(state, 2 * shape.queryHeads()) && state.rows() >= batch.size(),
        "attend: state needs [%d,%d], got %s",
        batch.size(),
        2 * shape.queryHeads(),
        state == null ? "none" : text(state));
    attention("attend", shape, layer, batch, view, rope);
    if (view.picks() != null) ChunkShapes.picks(shape, batch, view);
  }

  static void layer(String op, AttentionShape shape, int layer, KvLayout layout, RopeTable rope) {
    require(
        layer >= 0
            && layer < shape.layout().layers()
            && layout.equals(shape.layout())
            && rope.rotaryDim() <= shape.layout().headDim()
            && rope.rotaryDim() % 32 == 0,
        "%s: layer %d of %s, view of %s, rotary width %d",
        op,
        layer,
        shape.layout(),
        layout,
        rope.rotaryDim());
  }

  static void attention(
      String op, AttentionShape shape, int layer, TokenBatch batch, KvView view, RopeTable rope) {
    layer(op, shape, layer, view.layout(), rope);
    for (int s = 0; s < batch.slices().size(); s++) {
      require(
          view.isServed(s),
          "%s: slice %d has %d segments; one dense segment from position 0 is served,"
              + " or a picked one and a dense one behind it",
          op,
          s,
          view.segments(s).size());
      Slice slice = batch.slices().get(s);
      KvSegment dense = view.dense(s);
      int end = dense.firstPosition() + dense.length();
      int previous = dense.firstPosition() - 1;
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int p = batch.positions()[row];
        require(
            p > previous && p < end && p < rope.positions(),
            "%s: row %d at position %d after %d, segment up to %d, rope table of %d",
            op,
            row,
            p,
            previous,
            end,
            rope.positions());
        previous = p;
      }
    }
  }

  public static void argmax(Tensor logits, int[] ids) {
    require(
        isFloat(logits, logits.columns()) && ids.length >= logits.rows(),
        "argmax: logits %s into %d ids",
        text(logits),
        ids.length);
  }

  public static void topLogits(Tensor logits, List<LogitQuery> queries) {
    int previous = -1;
    for (LogitQuery q : queries) {
      require(
          isFloat(logits, logits.columns()) && q.row() > previous && q.row() < logits.rows(),
          "topLogits: row %d after %d of logits %s",
          q.row(),
          previous,
          text(logits));
      previous = q.row();
      int[] ids = q.edits().ids();
      boolean inside = ids.length == q.edits().minus().length;
      for (int id : ids) inside &= id >= 0 && id < logits.columns();
      require(
          inside,
          "topLogits: row %d: edits %s with %d numbers in logits %s",
          q.row(),
          Arrays.toString(ids),
          q.edits().minus().length,
          text(logits));
    }
  }

  static boolean isFloat(Tensor t, int columns) {
    return t.dtype() == DType.F32 && t.columns() == columns;
  }

  private static boolean room(Activations a, int rows, int columns) {
    return a.rows() >= rows && a.columns() == columns;
  }

  static String text(Tensor t) {
    return t.dtype() + " [" + t.rows() + "," + t.columns() + "]";
  }

  static void require(boolean condition, String message, Object... values) {
    if (!condition) throw new IllegalArgumentException(message.formatted(values));
  }
}
