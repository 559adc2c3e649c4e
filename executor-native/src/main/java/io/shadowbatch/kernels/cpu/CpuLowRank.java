package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.ChunkCopies;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.kernels.LowRankKernels;
import io.shadowbatch.kernels.LowRankShapes;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.tensor.Tensor;
import java.util.function.LongSupplier;

/** Keys of low rank in native code, with the bits of the definition. */
final class CpuLowRank implements LowRankKernels {
  private final LongSupplier handle;

  /**
   * @param handle of the native context; throws once that is closed
   */
  CpuLowRank(LongSupplier handle) {
    this.handle = handle;
  }

  @Override
  public void plainKeys(
      KvLayout layout, int layer, Tensor[] keys, int firstPosition, RopeTable rope, Tensor out) {
    LowRankShapes.plainKeys(layout, layer, keys, firstPosition, rope, out);
    Native.plainKeys(
        handle.getAsLong(),
        keyShape("plainKeys", layout, layer, rope),
        firstPosition,
        addresses(keys),
        keys.length,
        out.address(),
        out.rowStride());
  }

  @Override
  public void gram(Tensor x, Tensor mean, Tensor out) {
    LowRankShapes.gram(x, mean, out);
    Native.gram(
        handle.getAsLong(),
        x.address(),
        x.rowStride(),
        x.rows(),
        x.columns(),
        mean.address(),
        out.address(),
        out.rowStride());
  }

  @Override
  public void project(FactorLayout layout, int layer, Tensor x, LowRank basis, Tensor[] pages) {
    LowRankShapes.project(layout, layer, x, basis, pages);
    Native.project(
        handle.getAsLong(),
        new long[] {
          x.address(),
          x.rowStride(),
          x.columns(),
          basis.vectors().address(),
          basis.mean().address(),
          layout.rank(),
          codec(layout),
          (long) layer * layout.blockBytes()
        },
        addresses(pages),
        pages.length);
  }

  @Override
  public void rebuildKeys(FactorLayout layout, int layer, KeyChunks chunks, RopeTable rope) {
    LowRankShapes.rebuildKeys(layout, layer, chunks, rope);
    Native.rebuildKeys(
        handle.getAsLong(),
        keyShape("rebuildKeys", layout.kv(), layer, rope),
        new long[] {
          layout.rank(), codec(layout), (long) layer * layout.blockBytes(), chunks.chunkTokens()
        },
        chunks.addresses(),
        chunks.numbers(),
        chunks.size());
  }

  @Override
  public void fetchChunks(KvLayout layout, int layer, ChunkCopies copies) {
    LowRankShapes.fetchChunks(layout, layer, copies);
    if (layout.codec() == KvCodec.F32) throw new IllegalArgumentException(f32("fetchChunks"));
    Native.fetchChunks(
        handle.getAsLong(),
        new long[] {
          layout.codec() == KvCodec.INT8 ? 1 : 0,
          layout.headDim(),
          layout.blockOffset(layer, 0),
          layout.blockBytes(),
          copies.chunkTokens()
        },
        copies.addresses(),
        copies.numbers(),
        copies.size());
  }

  private static String f32(String op) {
    return op + ": KV codec F32 is for the reference only; the cpu backend reads FP16 and INT8";
  }

  private static long[] keyShape(String op, KvLayout layout, int layer, RopeTable rope) {
    if (layout.codec() == KvCodec.F32) throw new IllegalArgumentException(f32(op));
    return new long[] {
      layout.codec() == KvCodec.INT8 ? 1 : 0,
      layout.kvHeads(),
      layout.headDim(),
      layout.rotationWidth(),
      layout.blockOffset(layer, 0),
      layout.blockBytes(),
      rope.cos().address(),
      rope.sin().address(),
      rope.cos().rowStride(),
      rope.rotaryDim() / 2
    };
  }

  private static int codec(FactorLayout layout) {
    return layout.store() == KeyStore.LOWRANK_INT8 ? 1 : 0;
  }

  private static long[] addresses(Tensor[] pages) {
    long[] result = new long[pages.length];
    for (int i = 0; i < pages.length; i++) result[i] = pages[i].address();
    return result;
  }
}
