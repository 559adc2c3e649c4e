package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;

/**
 * The definition of key and value storage and of attention, in plain Java, one row and one head at
 * a time.
 */
final class ReferenceAttention {
  private static final int TILE = KvLayout.TILE;

  private ReferenceAttention() {}

  static void append(
      AttentionShape shape,
      int layer,
      Tensor k,
      Tensor v,
      TokenBatch batch,
      KvView view,
      RopeTable rope) {
    KvLayout layout = shape.layout();
    int d = layout.headDim();
    float[] keys = new float[layout.kvHeads() * d];
    float[] values = new float[keys.length];
    float[] cos = new float[rope.cos().columns()];
    float[] sin = new float[cos.length];
    for (int s = 0; s < batch.slices().size(); s++) {
      Slice slice = batch.slices().get(s);
      KvSegment segment = view.dense(s);
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int position = batch.positions()[row];
        k.readRow(row, keys);
        v.readRow(row, values);
        rope.cos().readRow(position, cos);
        rope.sin().readRow(position, sin);
        for (int h = 0; h < layout.kvHeads(); h++) {
          ReferenceMath.rope(keys, h * d, cos, sin);
          ReferenceTile tile = tile(layout, segment, position / TILE, layer, h);
          tile.put(position % TILE, keys, values, h * d);
        }
      }
    }
  }

  static void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor out,
      Tensor state) {
    KvLayout layout = shape.layout();
    int d = layout.headDim();
    float[] queries = new float[shape.queryHeads() * d];
    float[] result = new float[queries.length];
    float[] cos = new float[rope.cos().columns()];
    float[] sin = new float[cos.length];
    for (int s = 0; s < batch.slices().size(); s++) {
      Slice slice = batch.slices().get(s);
      KvSegment segment = view.dense(s);
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int position = batch.positions()[row];
        q.readRow(row, queries);
        rope.cos().readRow(position, cos);
        rope.sin().readRow(position, sin);
        for (int h = 0; h < shape.queryHeads(); h++) {
          ReferenceMath.rope(queries, h * d, cos, sin);
          Query query = new Query(shape, queries, h * d);
          int kvHead = h / shape.headsPerGroup();
          int first = shape.window() == 0 ? 0 : Math.max(0, position - shape.window() + 1);
          if (view.picked(s) != null) {
            query.picked(layout, view.picked(s), row, layer, kvHead);
            first = segment.firstPosition();
          }
          for (int t = first / TILE; t <= position / TILE; t++) {
            int from = Math.max(0, first - t * TILE);
            int to = Math.min(TILE, position + 1 - t * TILE);
            query.tile(tile(layout, segment, t, layer, kvHead), from, to);
          }
          query.finish(result, h * d);
          if (state != null) {
            state.setF32(row, 2 * h, query.max);
            state.setF32(row, 2 * h + 1, query.sum);
          }
        }
        out.writeRow(row, result);
      }
    }
  }

  /** Tile {@code t} of the sequence, which lies in a dense segment. */
  private static ReferenceTile tile(
      KvLayout layout, KvSegment segment, int t, int layer, int kvHead) {
    int page = t - segment.firstPosition() / TILE;
    return new ReferenceTile(layout, segment, page, layer, kvHead);
  }

  /** Adds up by rows of a slice, then heads of a group. */
  static void mass(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor state,
      Tensor mass) {
    KvLayout layout = shape.layout();
    int d = layout.headDim();
    float[] queries = new float[shape.queryHeads() * d];
    float[] cos = new float[rope.cos().columns()];
    float[] sin = new float[cos.length];
    for (int s = 0; s < batch.slices().size(); s++) {
      Slice slice = batch.slices().get(s);
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int position = batch.positions()[row];
        q.readRow(row, queries);
        rope.cos().readRow(position, cos);
        rope.sin().readRow(position, sin);
        for (int h = 0; h < shape.queryHeads(); h++) {
          ReferenceMath.rope(queries, h * d, cos, sin);
          Query query = new Query(shape, queries, h * d);
          query.max = state.f32(row, 2 * h);
          query.sum = state.f32(row, 2 * h + 1);
          int kvHead = h / shape.headsPerGroup();
          int to = s * layout.kvHeads() + kvHead;
          int first = shape.window() == 0 ? 0 : Math.max(0, position - shape.window() + 1);
          for (int p = first; p <= position; p++) {
            ReferenceTile tile = tile(layout, view.dense(s), p / TILE, layer, kvHead);
            mass.setF32(to, p, mass.f32(to, p) + query.weight(tile, p % TILE));
          }
        }
      }
    }
  }

  /** One query row and head on its way over the tiles. */
  private static final class Query {
    private final int d;
    private final boolean integer;
    private final float[] q;
    private final int[] qInt;
    private float qScale;
    private final float[] output;
    private final float[] weights = new float[TILE];
    private float max = -1e30f;
    private float sum = 0;
    private float correction;

    /** {@code x[from..)} holds the roped query, which is used up. */
    Query(AttentionShape shape, float[] x, int from) {
      d = shape.layout().headDim();
      integer = shape.layout().codec() == KvCodec.INT8;
      q = new float[d];
      qInt = new int[d];
      output = new float[d];
      if (integer) {
        ReferenceMath.rotate(x, from, d, shape.layout().rotationWidth());
        float top = ReferenceMath.largest(x, from, d);
        qScale = top / 127f * shape.scale();
        for (int i = 0; i < d; i++) qInt[i] = ReferenceMath.round(x[from + i] * (127f / top));
      } else {
        for (int i = 0; i < d; i++) q[i] = x[from + i] * shape.scale();
      }
    }

    /** Attends to the picked chunks of a row and KV head, gathered into tiles in their order. */
    void picked(KvLayout layout, KvSegment segment, int row, int layer, int kvHead) {
      Tensor ids = segment.picks().ids();
      int chunk = segment.picks().chunkTokens();
      int at = row * layout.kvHeads() + kvHead;
      int tokens = ids.i32(at, 0) * chunk;
      for (int begin = 0; begin < tokens; begin += TILE) {
        ReferenceTile gathered = new ReferenceTile(layout);
        int count = Math.min(TILE, tokens - begin);
        for (int slot = 0; slot < count; slot++) {
          int first = ids.i32(at, 1 + (begin + slot) / chunk) * chunk + slot % chunk;
          ReferenceTile tile = new ReferenceTile(layout, segment, first / TILE, layer, kvHead);
          gathered.copy(tile, first % TILE, slot);
        }
        tile(gathered, 0, count);
      }
    }

    /** Share of a slot in the softmax whose largest score and sum are known. */
    float weight(ReferenceTile tile, int slot) {
      float score = integer ? scoreInt8(tile, slot) : score(tile, slot);
      return ReferenceMath.exp(score - max) * (1f / sum);
    }

    /** Attends to slots [from, to) of a tile. */
    void tile(ReferenceTile tile, int from, int to) {
      float top = max;
      for (int slot = from; slot < to; slot++) {
        weights[slot] = integer ? scoreInt8(tile, slot) : score(tile, slot);
        top = Math.max(top, weights[slot]);
      }
      correction = ReferenceMath.exp(max - top);
      max = top;
      float[] lanes = new float[16];
      for (int slot = 0; slot < TILE; slot++) {
        boolean seen = slot >= from && slot < to;
        weights[slot] = seen ? ReferenceMath.exp(weights[slot] - top) : 0f;
        lanes[slot % 16] += weights[slot];
      }
      sum = Math.fma(sum, correction, ReferenceMath.sum16(lanes));
      if (integer) {
        addInt8(tile, to - 1);
      } else {
        add(tile);
      }
    }

    private float score(ReferenceTile tile, int slot) {
      float s = 0;
      for (int i = 0; i < d; i++) s = Math.fma(tile.key(slot, i), q[i], s);
      return s;
    }

    private float scoreInt8(ReferenceTile tile, int slot) {
      int dot = 0;
      for (int i = 0; i < d; i++) dot += tile.keyInt(slot, i) * qInt[i];
      return (float) dot * (tile.keyScale(slot) * qScale);
    }

    private void add(ReferenceTile tile) {
      for (int i = 0; i < d; i++) {
        float o = output[i] * correction;
        for (int slot = 0; slot < TILE; slot++) {
          o = Math.fma(tile.value(slot, i), weights[slot], o);
        }
        output[i] = o;
      }
    }

    /** Weights times value scales as 15-bit integers, relative to the largest scale in view. */
    private void addInt8(ReferenceTile tile, int last) {
      float top = tile.valueTop(last);
      float up = 32767f / top;
      float back = top / 32767f;
      int[] p = new int[TILE];
      for (int slot = 0; slot < TILE; slot++) {
        p[slot] = ReferenceMath.round(weights[slot] * (tile.valueScale(slot) * up));
      }
      for (int i = 0; i < d; i++) {
        int dot = 0;
        for (int slot = 0; slot < TILE; slot++) dot += p[slot] * tile.valueInt(slot, i);
        output[i] = Math.fma(output[i], correction, (float) dot * back);
      }
    }

    void finish(float[] result, int from) {
      float inverse = 1f / sum;
      for (int i = 0; i < d; i++) result[from + i] = output[i] * inverse;
    }
  }
}
