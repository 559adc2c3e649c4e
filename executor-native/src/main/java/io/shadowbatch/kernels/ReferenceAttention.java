package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;

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
      KvSegment segment = view.segments(s).get(0);
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int position = batch.positions()[row];
        k.readRow(row, keys);
        v.readRow(row, values);
        rope.cos().readRow(position, cos);
        rope.sin().readRow(position, sin);
        for (int h = 0; h < layout.kvHeads(); h++) {
          ReferenceMath.rope(keys, h * d, cos, sin);
          Block block = new Block(layout, segment.pages()[position / TILE], layer, h);
          block.put(position % TILE, keys, values, h * d);
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
      KvSegment segment = view.segments(s).get(0);
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int position = batch.positions()[row];
        q.readRow(row, queries);
        rope.cos().readRow(position, cos);
        rope.sin().readRow(position, sin);
        for (int h = 0; h < shape.queryHeads(); h++) {
          ReferenceMath.rope(queries, h * d, cos, sin);
          Query query = new Query(shape, queries, h * d);
          int first = shape.window() == 0 ? 0 : Math.max(0, position - shape.window() + 1);
          for (int t = first / TILE; t <= position / TILE; t++) {
            Block block = new Block(layout, segment.pages()[t], layer, h / shape.headsPerGroup());
            int from = Math.max(0, first - t * TILE);
            int to = Math.min(TILE, position + 1 - t * TILE);
            query.tile(block, from, to);
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

  /** The block of one layer and KV head of a page. */
  private static final class Block {
    private final KvLayout layout;
    private final int d;
    private final ByteBuffer bytes;

    Block(KvLayout layout, Tensor page, int layer, int head) {
      this.layout = layout;
      this.d = layout.headDim();
      int offset = layer * layout.layerBytes() + head * layout.blockBytes();
      this.bytes = ReferenceKernels.nativeSlice(page, offset, layout.blockBytes());
    }

    /** Stores a token; the first of a tile clears the block, so that no slot holds old numbers. */
    void put(int slot, float[] keys, float[] values, int from) {
      if (slot == 0) bytes.put(0, new byte[layout.blockBytes()]);
      switch (layout.codec()) {
        case INT8 -> putInt8(slot, keys, values, from);
        case FP16 -> {
          for (int i = 0; i < d; i++) {
            bytes.putShort(2 * (i * TILE + slot), half(keys[from + i]));
            bytes.putShort(2 * ((TILE + slot) * d + i), half(values[from + i]));
          }
        }
        case F32 -> {
          for (int i = 0; i < d; i++) {
            bytes.putFloat(4 * (i * TILE + slot), keys[from + i]);
            bytes.putFloat(4 * ((TILE + slot) * d + i), values[from + i]);
          }
        }
      }
    }

    /** Never infinite: that would turn the weights of zero of earlier rows into NaN. */
    private static short half(float x) {
      return ReferenceMath.toHalf(Math.min(Math.max(x, -65504f), 65504f));
    }

    private void putInt8(int slot, float[] keys, float[] values, int from) {
      ReferenceMath.rotate(keys, from, d, layout.rotationWidth());
      float keyTop = ReferenceMath.largest(keys, from, d);
      float valueTop = ReferenceMath.largest(values, from, d);
      float valueScale = valueTop / 127f;
      for (int i = 0; i < d; i++) {
        int key = ReferenceMath.round(keys[from + i] * (127f / keyTop)) + 128;
        int value = ReferenceMath.round(values[from + i] * (127f / valueTop));
        bytes.put(i / 4 * 4 * TILE + 4 * slot + i % 4, (byte) key);
        bytes.put(TILE * d + slot / 4 * 4 * d + 4 * i + slot % 4, (byte) value);
      }
      int scales = 2 * TILE * d;
      bytes.putFloat(scales + 4 * slot, keyTop / 127f);
      bytes.putFloat(scales + 4 * (TILE + slot), valueScale);
      float before = slot == 0 ? 0 : bytes.getFloat(scales + 4 * (2 * TILE + slot - 1));
      bytes.putFloat(scales + 4 * (2 * TILE + slot), Math.max(before, valueScale));
    }

    int keyInt(int slot, int i) {
      return (bytes.get(i / 4 * 4 * TILE + 4 * slot + i % 4) & 0xff) - 128;
    }

    int valueInt(int slot, int i) {
      return bytes.get(TILE * d + slot / 4 * 4 * d + 4 * i + slot % 4);
    }

    /** Part 0: key scales, 1: value scales, 2: running largest value scale. */
    float scale(int part, int slot) {
      return bytes.getFloat(2 * TILE * d + 4 * (part * TILE + slot));
    }

    float key(int slot, int i) {
      int at = i * TILE + slot;
      return layout.codec() == KvCodec.FP16
          ? ReferenceMath.fromHalf(bytes.getShort(2 * at))
          : bytes.getFloat(4 * at);
    }

    float value(int slot, int i) {
      int at = (TILE + slot) * d + i;
      return layout.codec() == KvCodec.FP16
          ? ReferenceMath.fromHalf(bytes.getShort(2 * at))
          : bytes.getFloat(4 * at);
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

    /** Attends to slots [from, to) of a tile. */
    void tile(Block block, int from, int to) {
      float top = max;
      for (int slot = from; slot < to; slot++) {
        weights[slot] = integer ? scoreInt8(block, slot) : score(block, slot);
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
        addInt8(block, to - 1);
      } else {
        add(block);
      }
    }

    private float score(Block block, int slot) {
      float s = 0;
      for (int i = 0; i < d; i++) s = Math.fma(block.key(slot, i), q[i], s);
      return s;
    }

    private float scoreInt8(Block block, int slot) {
      int dot = 0;
      for (int i = 0; i < d; i++) dot += block.keyInt(slot, i) * qInt[i];
      return (float) dot * (block.scale(0, slot) * qScale);
    }

    private void add(Block block) {
      for (int i = 0; i < d; i++) {
        float o = output[i] * correction;
        for (int slot = 0; slot < TILE; slot++) {
          o = Math.fma(block.value(slot, i), weights[slot], o);
        }
        output[i] = o;
      }
    }

    /** Weights times value scales as 15-bit integers, relative to the largest scale in view. */
    private void addInt8(Block block, int last) {
      float top = block.scale(2, last);
      float up = 32767f / top;
      float back = top / 32767f;
      int[] p = new int[TILE];
      for (int slot = 0; slot < TILE; slot++) {
        p[slot] = ReferenceMath.round(weights[slot] * (block.scale(1, slot) * up));
      }
      for (int i = 0; i < d; i++) {
        int dot = 0;
        for (int slot = 0; slot < TILE; slot++) dot += p[slot] * block.valueInt(slot, i);
        output[i] = Math.fma(output[i], correction, (float) dot * back);
      }
    }

    void finish(float[] result, int from) {
      float inverse = 1f / sum;
      for (int i = 0; i < d; i++) result[from + i] = output[i] * inverse;
    }
  }
}
