package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;

/** The definition of keys of low rank, in plain Java, one token at a time. */
final class ReferenceLowRank implements LowRankKernels {
  private static final int TILE = KvLayout.TILE;

  @Override
  public void plainKeys(
      KvLayout layout, int layer, Tensor[] keys, int firstPosition, RopeTable rope, Tensor out) {
    LowRankShapes.plainKeys(layout, layer, keys, firstPosition, rope, out);
    int d = layout.headDim();
    float[] row = new float[layout.kvHeads() * d];
    float[] cos = new float[rope.cos().columns()];
    float[] sin = new float[cos.length];
    for (int t = 0; t < TILE * keys.length; t++) {
      rope.cos().readRow(firstPosition + t, cos);
      rope.sin().readRow(firstPosition + t, sin);
      for (int h = 0; h < layout.kvHeads(); h++) {
        ReferenceTile tile = new ReferenceTile(layout, keys[t / TILE], layer, h);
        for (int i = 0; i < d; i++) row[h * d + i] = tile.storedKey(t % TILE, i);
        if (layout.codec() == KvCodec.INT8) {
          ReferenceMath.rotate(row, h * d, d, layout.rotationWidth());
        }
        turnBack(row, h * d, cos, sin);
      }
      out.writeRow(t, row);
    }
  }

  /** The inverse of {@link ReferenceMath#rope}. */
  private static void turnBack(float[] x, int from, float[] cos, float[] sin) {
    int half = cos.length;
    for (int i = 0; i < half; i++) {
      float a = x[from + i];
      float b = x[from + half + i];
      x[from + i] = Math.fma(a, cos[i], b * sin[i]);
      x[from + half + i] = Math.fma(b, cos[i], -(a * sin[i]));
    }
  }

  @Override
  public void gram(Tensor x, Tensor mean, Tensor out) {
    LowRankShapes.gram(x, mean, out);
    int width = x.columns();
    float[] m = new float[width];
    mean.readRow(0, m);
    float[] row = new float[width];
    float[][] sums = new float[width][width];
    for (int t = 0; t < x.rows(); t++) {
      x.readRow(t, row);
      for (int i = 0; i < width; i++) row[i] -= m[i];
      for (int i = 0; i < width; i++) {
        for (int j = 0; j < width; j++) sums[i][j] = Math.fma(row[i], row[j], sums[i][j]);
      }
    }
    for (int i = 0; i < width; i++) out.writeRow(i, sums[i]);
  }

  @Override
  public void project(FactorLayout layout, int layer, Tensor x, LowRank basis, Tensor[] pages) {
    LowRankShapes.project(layout, layer, x, basis, pages);
    int rank = layout.rank();
    float[][] vectors = halves(basis.vectors());
    float[] mean = new float[layout.width()];
    basis.mean().readRow(0, mean);
    float[] row = new float[layout.width()];
    float[] a = new float[rank];
    for (int t = 0; t < x.rows(); t++) {
      x.readRow(t, row);
      for (int j = 0; j < row.length; j++) row[j] -= mean[j];
      for (int i = 0; i < rank; i++) {
        float sum = 0;
        for (int j = 0; j < row.length; j++) sum = Math.fma(row[j], vectors[i][j], sum);
        a[i] = sum;
      }
      put(layout, block(layout, layer, pages[t / TILE]), t % TILE, a);
    }
  }

  private static void put(FactorLayout layout, ByteBuffer block, int slot, float[] a) {
    int rank = a.length;
    if (layout.store() == KeyStore.LOWRANK_FP16) {
      for (int i = 0; i < rank; i++) {
        float finite = a[i] > -65504f ? Math.min(a[i], 65504f) : -65504f;
        block.putShort(2 * (slot * rank + i), ReferenceMath.toHalf(finite));
      }
      return;
    }
    float top = ReferenceMath.largest(a, 0, rank);
    float inverse = 127f / top;
    for (int i = 0; i < rank; i++) {
      block.put(slot * rank + i, (byte) (ReferenceMath.round(a[i] * inverse) + 128));
    }
    block.putFloat(TILE * rank + 4 * slot, top / 127f);
  }

  @Override
  public void fetchChunks(KvLayout layout, int layer, ChunkCopies copies) {
    LowRankShapes.fetchChunks(layout, layer, copies);
    ReferenceTile.fetch(layout, layer, copies);
  }

  @Override
  public void rebuildKeys(FactorLayout layout, int layer, KeyChunks chunks, RopeTable rope) {
    LowRankShapes.rebuildKeys(layout, layer, chunks, rope);
    KvLayout kv = layout.kv();
    int d = kv.headDim();
    int tokens = chunks.chunkTokens();
    float[] cos = new float[rope.cos().columns()];
    float[] sin = new float[cos.length];
    for (int item = 0; item < chunks.size(); item++) {
      float[][] vectors = halves(chunks.basis(item).vectors());
      ByteBuffer factors = block(layout, layer, chunks.factors(item));
      int head = chunks.head(item);
      int first = head == KeyChunks.ALL_HEADS ? 0 : head;
      int end = head == KeyChunks.ALL_HEADS ? kv.kvHeads() : head + 1;
      for (int t = 0; t < tokens; t++) {
        float[] row = new float[layout.width()];
        chunks.basis(item).mean().readRow(0, row);
        for (int i = 0; i < layout.rank(); i++) {
          float a = factor(layout, factors, chunks.chunk(item) * tokens + t, i);
          for (int j = 0; j < row.length; j++) row[j] = Math.fma(a, vectors[i][j], row[j]);
        }
        rope.cos().readRow(chunks.firstPosition(item) + t, cos);
        rope.sin().readRow(chunks.firstPosition(item) + t, sin);
        for (int h = first; h < end; h++) {
          ReferenceMath.rope(row, h * d, cos, sin);
          new ReferenceTile(kv, chunks.keys(item), layer, h)
              .putKey(chunks.slot(item) * tokens + t, row, h * d);
        }
      }
    }
  }

  private static float factor(FactorLayout layout, ByteBuffer block, int slot, int i) {
    int at = slot * layout.rank() + i;
    if (layout.store() == KeyStore.LOWRANK_FP16) {
      return ReferenceMath.fromHalf(block.getShort(2 * at));
    }
    return ((block.get(at) & 0xff) - 128) * block.getFloat(TILE * layout.rank() + 4 * slot);
  }

  private static ByteBuffer block(FactorLayout layout, int layer, Tensor page) {
    return ReferenceKernels.nativeSlice(page, layer * layout.blockBytes(), layout.blockBytes());
  }

  private static float[][] halves(Tensor t) {
    float[][] result = new float[t.rows()][t.columns()];
    for (int i = 0; i < t.rows(); i++) {
      for (int j = 0; j < t.columns(); j++) {
        result[i][j] = ReferenceMath.fromHalf(t.storage().bytes().getShort((int) t.at(i, j)));
      }
    }
    return result;
  }
}
