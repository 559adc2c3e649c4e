package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The key and value blocks of one layer and KV head of a page. */
final class ReferenceTile {
  private static final int TILE = KvLayout.TILE;

  private final KvLayout layout;
  private final int d;
  private final ByteBuffer keys;
  private final ByteBuffer values;

  ReferenceTile(KvLayout layout, KvSegment segment, int page, int layer, int head) {
    this.layout = layout;
    this.d = layout.headDim();
    int offset = (int) layout.blockOffset(layer, head);
    keys = ReferenceKernels.nativeSlice(segment.keys()[page], offset, layout.blockBytes());
    values = ReferenceKernels.nativeSlice(segment.values()[page], offset, layout.blockBytes());
  }

  /** An empty tile of its own memory. */
  ReferenceTile(KvLayout layout) {
    this.layout = layout;
    this.d = layout.headDim();
    keys = ByteBuffer.allocate(layout.blockBytes()).order(ByteOrder.nativeOrder());
    values = ByteBuffer.allocate(layout.blockBytes()).order(ByteOrder.nativeOrder());
  }

  /** Keys only. */
  ReferenceTile(KvLayout layout, Tensor keyHalf, int layer, int head) {
    this.layout = layout;
    this.d = layout.headDim();
    int offset = (int) layout.blockOffset(layer, head);
    keys = ReferenceKernels.nativeSlice(keyHalf, offset, layout.blockBytes());
    values = null;
  }

  static void fetch(KvLayout layout, int layer, ChunkCopies copies) {
    int n = copies.chunkTokens();
    for (int i = 0; i < copies.size(); i++) {
      int head = copies.head(i);
      for (int t = 0; t < n; t++) {
        int from = copies.chunk(i) * n + t;
        int to = copies.slot(i) * n + t;
        if (copies.keys(i) != null) {
          ReferenceTile source = keysOf(layout, copies.keys(i), layer, head);
          keysOf(layout, copies.toKeys(i), layer, head).copyKey(source, from, to);
        }
        ReferenceTile source = valuesOf(layout, copies.values(i), layer, head);
        valuesOf(layout, copies.toValues(i), layer, head).copyValue(source, from, to);
      }
    }
  }

  private static ReferenceTile keysOf(KvLayout layout, Tensor half, int layer, int head) {
    return new ReferenceTile(layout, block(layout, half, layer, head), null);
  }

  private static ReferenceTile valuesOf(KvLayout layout, Tensor half, int layer, int head) {
    return new ReferenceTile(layout, null, block(layout, half, layer, head));
  }

  private static ByteBuffer block(KvLayout layout, Tensor half, int layer, int head) {
    int offset = (int) layout.blockOffset(layer, head);
    return ReferenceKernels.nativeSlice(half, offset, layout.blockBytes());
  }

  private ReferenceTile(KvLayout layout, ByteBuffer keys, ByteBuffer values) {
    this.layout = layout;
    this.d = layout.headDim();
    this.keys = keys;
    this.values = values;
  }

  private void copyKey(ReferenceTile other, int from, int to) {
    for (int i = 0; i < d; i++) {
      switch (layout.codec()) {
        case INT8 -> keys.put(keyByte(to, i), other.keys.get(keyByte(from, i)));
        case FP16 -> keys.putShort(2 * (i * TILE + to), other.keys.getShort(2 * (i * TILE + from)));
        case F32 -> keys.putFloat(4 * (i * TILE + to), other.keys.getFloat(4 * (i * TILE + from)));
      }
    }
    if (layout.codec() == KvCodec.INT8) keys.putFloat(TILE * d + 4 * to, other.keyScale(from));
  }

  private void copyValue(ReferenceTile other, int from, int to) {
    for (int i = 0; i < d; i++) {
      switch (layout.codec()) {
        case INT8 -> values.put(valueByte(to, i), other.values.get(valueByte(from, i)));
        case FP16 -> values.putShort(2 * (to * d + i), other.values.getShort(2 * (from * d + i)));
        case F32 -> values.putFloat(4 * (to * d + i), other.values.getFloat(4 * (from * d + i)));
      }
    }
    if (layout.codec() == KvCodec.INT8) values.putFloat(TILE * d + 4 * to, other.valueScale(from));
  }

  /** Takes a token of another tile; the slots before {@code to} have been taken. */
  void copy(ReferenceTile other, int from, int to) {
    for (int i = 0; i < d; i++) {
      int key = i * TILE;
      switch (layout.codec()) {
        case INT8 -> {
          keys.put(keyByte(to, i), other.keys.get(keyByte(from, i)));
          values.put(valueByte(to, i), other.values.get(valueByte(from, i)));
        }
        case FP16 -> {
          keys.putShort(2 * (key + to), other.keys.getShort(2 * (key + from)));
          values.putShort(2 * (to * d + i), other.values.getShort(2 * (from * d + i)));
        }
        case F32 -> {
          keys.putFloat(4 * (key + to), other.keys.getFloat(4 * (key + from)));
          values.putFloat(4 * (to * d + i), other.values.getFloat(4 * (from * d + i)));
        }
      }
    }
    if (layout.codec() == KvCodec.INT8) putScales(to, other.keyScale(from), other.valueScale(from));
  }

  private static int keyByte(int slot, int i) {
    return i / 4 * 4 * TILE + 4 * slot + i % 4;
  }

  private int valueByte(int slot, int i) {
    return slot / 4 * 4 * d + 4 * i + slot % 4;
  }

  private void putScales(int slot, float keyScale, float valueScale) {
    keys.putFloat(TILE * d + 4 * slot, keyScale);
    values.putFloat(TILE * d + 4 * slot, valueScale);
    float before = slot == 0 ? 0 : valueTop(slot - 1);
    values.putFloat(TILE * d + 4 * (TILE + slot), Math.max(before, valueScale));
  }

  /** Element {@code i} of a key as a float, in the space in which it is stored. */
  float storedKey(int slot, int i) {
    return layout.codec() == KvCodec.INT8 ? (float) keyInt(slot, i) * keyScale(slot) : key(slot, i);
  }

  /** Stores a token; the first of a tile clears the block, so that no slot holds old numbers. */
  void put(int slot, float[] key, float[] value, int from) {
    if (slot == 0) {
      keys.put(0, new byte[layout.blockBytes()]);
      values.put(0, new byte[layout.blockBytes()]);
    }
    putKey(slot, key, from);
    switch (layout.codec()) {
      case INT8 -> {
        float top = ReferenceMath.largest(value, from, d);
        for (int i = 0; i < d; i++) {
          int v = ReferenceMath.round(value[from + i] * (127f / top));
          values.put(valueByte(slot, i), (byte) v);
        }
        putScales(slot, keyScale(slot), top / 127f);
      }
      case FP16 -> {
        for (int i = 0; i < d; i++) values.putShort(2 * (slot * d + i), half(value[from + i]));
      }
      case F32 -> {
        for (int i = 0; i < d; i++) values.putFloat(4 * (slot * d + i), value[from + i]);
      }
    }
  }

  /** Stores the roped key x[from, from + headDim), which is used up, and nothing else. */
  void putKey(int slot, float[] x, int from) {
    switch (layout.codec()) {
      case INT8 -> {
        ReferenceMath.rotate(x, from, d, layout.rotationWidth());
        float top = ReferenceMath.largest(x, from, d);
        for (int i = 0; i < d; i++) {
          int k = ReferenceMath.round(x[from + i] * (127f / top)) + 128;
          keys.put(keyByte(slot, i), (byte) k);
        }
        keys.putFloat(TILE * d + 4 * slot, top / 127f);
      }
      case FP16 -> {
        for (int i = 0; i < d; i++) keys.putShort(2 * (i * TILE + slot), half(x[from + i]));
      }
      case F32 -> {
        for (int i = 0; i < d; i++) keys.putFloat(4 * (i * TILE + slot), x[from + i]);
      }
    }
  }

  /** Never infinite: that would turn the weights of zero of earlier rows into NaN. */
  private static short half(float x) {
    return ReferenceMath.toHalf(Math.min(Math.max(x, -65504f), 65504f));
  }

  int keyInt(int slot, int i) {
    return (keys.get(keyByte(slot, i)) & 0xff) - 128;
  }

  int valueInt(int slot, int i) {
    return values.get(valueByte(slot, i));
  }

  float keyScale(int slot) {
    return keys.getFloat(TILE * d + 4 * slot);
  }

  float valueScale(int slot) {
    return values.getFloat(TILE * d + 4 * slot);
  }

  /** Largest value scale of the tile's tokens up to this one. */
  float valueTop(int slot) {
    return values.getFloat(TILE * d + 4 * (TILE + slot));
  }

  float key(int slot, int i) {
    int at = i * TILE + slot;
    return layout.codec() == KvCodec.FP16
        ? ReferenceMath.fromHalf(keys.getShort(2 * at))
        : keys.getFloat(4 * at);
  }

  float value(int slot, int i) {
    int at = slot * d + i;
    return layout.codec() == KvCodec.FP16
        ? ReferenceMath.fromHalf(values.getShort(2 * at))
        : values.getFloat(4 * at);
  }
}
