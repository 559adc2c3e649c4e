package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.ChunkCopies;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.kernels.LowRankKernels;
import io.shadowbatch.kernels.LowRankShapes;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.Set;

/**
 * Keys of low rank and copies of chunks (lowrank.cu, fetch.cu). Slots that chunks are brought into
 * lie on the device: these operations are queued.
 */
final class CudaLowRank implements LowRankKernels {
  private static final int PLAIN_THREADS = 256;
  private static final int GRAM_TILE = 64;
  private static final int GRAM_THREADS = 256;
  private static final int GRAM_SHARED = GRAM_TILE * (GRAM_TILE + 1) * 4;
  private static final int PROJECT_TOKENS = 16;
  private static final int PROJECT_THREADS = 128;
  private static final int PROJECT_SHARED = 32 * (17 + 65) * 4;
  private static final int REBUILD_THREADS = 256;
  private static final int FETCH_WARPS = 8;
  private static final int GROUP_NUMBERS = 4;

  /** Widths of heads for which there is a kernel that rebuilds keys. */
  private static final Set<Integer> WIDTHS = Set.of(16, 32, 64, 96, 128, 256);

  private final Gpu gpu;
  private int[] groups = new int[GROUP_NUMBERS * 64];

  CudaLowRank(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void plainKeys(
      KvLayout layout, int layer, Tensor[] keys, int firstPosition, RopeTable rope, Tensor out) {
    LowRankShapes.plainKeys(layout, layer, keys, firstPosition, rope, out);
    CudaChunks.requireHalves("plainKeys", layout);
    Params p =
        gpu.params()
            .address(gpu.upload(CudaChunks.addresses(keys), keys.length))
            .address(rope.cos().address())
            .address(rope.sin().address())
            .address(out.address())
            .i64(out.rowStride())
            .i64(layout.blockOffset(layer, 0))
            .i32(layout.blockBytes())
            .i32(layout.headDim())
            .i32(rope.rotaryDim() / 2)
            .i32(rope.cos().rowStride())
            .i32(firstPosition)
            .i32(0);
    int shared = 4 * 33 * layout.headDim();
    gpu.launch("sb_plain_keys", layout.kvHeads(), keys.length, 1, PLAIN_THREADS, shared, p);
    finish(out);
  }

  @Override
  public void gram(Tensor x, Tensor mean, Tensor out) {
    LowRankShapes.gram(x, mean, out);
    Params p =
        gpu.params()
            .address(x.address())
            .address(mean.address())
            .address(out.address())
            .i64(x.rowStride())
            .i64(out.rowStride())
            .i32(x.rows())
            .i32(x.columns());
    int tiles = (x.columns() + GRAM_TILE - 1) / GRAM_TILE;
    gpu.launch("sb_gram", tiles, tiles, 1, GRAM_THREADS, GRAM_SHARED, p);
    finish(out);
  }

  @Override
  public void project(FactorLayout layout, int layer, Tensor x, LowRank basis, Tensor[] pages) {
    LowRankShapes.project(layout, layer, x, basis, pages);
    int shared = PROJECT_SHARED + 4 * PROJECT_TOKENS * layout.rank();
    if (shared > gpu.sharedBytesMax()) {
      throw new IllegalArgumentException(
          "project: rank %d needs %d bytes of shared memory, this GPU has %d; take a lower rank"
              .formatted(layout.rank(), shared, gpu.sharedBytesMax()));
    }
    Params p =
        gpu.params()
            .address(x.address())
            .address(basis.vectors().address())
            .address(basis.mean().address())
            .address(gpu.upload(CudaChunks.addresses(pages), pages.length))
            .i64(x.rowStride())
            .i64((long) layer * layout.blockBytes())
            .i32(x.columns())
            .i32(layout.rank())
            .i32(integers(layout))
            .i32(0);
    int grid = KvLayout.TILE / PROJECT_TOKENS * pages.length;
    gpu.launch("sb_project", grid, 1, 1, PROJECT_THREADS, shared, p);
    if (pages.length > 0) finish(pages[0]);
  }

  @Override
  public void rebuildKeys(FactorLayout layout, int layer, KeyChunks chunks, RopeTable rope) {
    LowRankShapes.rebuildKeys(layout, layer, chunks, rope);
    KvLayout kv = layout.kv();
    CudaChunks.requireHalves("rebuildKeys", kv);
    int d = kv.headDim();
    if (!WIDTHS.contains(d)) {
      throw new IllegalArgumentException(
          "rebuildKeys: heads of %d dimensions; the cuda backend has 16, 32, 64, 96, 128 and 256"
              .formatted(d));
    }
    if (chunks.size() == 0) return;
    long[] addresses = chunks.addresses();
    int count = group(addresses, chunks.numbers(), chunks.size(), chunks.chunkTokens(), kv);
    Params p =
        gpu.params()
            .address(gpu.upload(addresses, addresses.length))
            .address(gpu.upload(chunks.numbers(), 4 * chunks.size()))
            .address(gpu.upload(groups, GROUP_NUMBERS * count))
            .address(rope.cos().address())
            .address(rope.sin().address())
            .i64((long) layer * layout.blockBytes())
            .i64(kv.blockOffset(layer, 0))
            .i32(kv.blockBytes())
            .i32(kv.kvHeads())
            .i32(rope.rotaryDim() / 2)
            .i32(rope.cos().rowStride())
            .i32(layout.rank())
            .i32(chunks.chunkTokens())
            .i32(integers(layout))
            .i32(0);
    int shared = Math.max(4352 + 64 * d, 256 * (d + 1));
    gpu.launch("sb_rebuild_keys_" + d, count, 1, 1, REBUILD_THREADS, shared, p);
  }

  /**
   * Blocks of up to 64 tokens of one head and basis, so that they share the basis' vectors: runs of
   * the list, as it is filled head by head.
   *
   * @return blocks in {@link #groups}, {first chunk, chunks, head, 0} each
   */
  private int group(long[] addresses, int[] numbers, int size, int chunkTokens, KvLayout kv) {
    int most = KvLayout.TILE / chunkTokens;
    int count = 0;
    for (int from = 0, to; from < size; from = to) {
      int head = numbers[4 * from + 3];
      for (to = from + 1; to < Math.min(size, from + most); to++) {
        boolean same = numbers[4 * to + 3] == head;
        if (!same || addresses[4 * to + 2] != addresses[4 * from + 2]) break;
      }
      boolean all = head == KeyChunks.ALL_HEADS;
      for (int h = all ? 0 : head; h < (all ? kv.kvHeads() : head + 1); h++) {
        if (GROUP_NUMBERS * count == groups.length)
          groups = Arrays.copyOf(groups, 2 * groups.length);
        groups[GROUP_NUMBERS * count] = from;
        groups[GROUP_NUMBERS * count + 1] = to - from;
        groups[GROUP_NUMBERS * count++ + 2] = h;
      }
    }
    return count;
  }

  @Override
  public void fetchChunks(KvLayout layout, int layer, ChunkCopies copies) {
    LowRankShapes.fetchChunks(layout, layer, copies);
    CudaChunks.requireHalves("fetchChunks", layout);
    if (copies.size() == 0) return;
    Params p =
        gpu.params()
            .address(gpu.upload(copies.addresses(), 4 * copies.size()))
            .address(gpu.upload(copies.numbers(), 3 * copies.size()))
            .i64(layout.blockOffset(layer, 0))
            .i32(copies.size())
            .i32(layout.blockBytes())
            .i32(layout.headDim())
            .i32(copies.chunkTokens());
    int grid = (copies.size() + FETCH_WARPS - 1) / FETCH_WARPS;
    gpu.launch("sb_fetch_chunks", grid, 1, 1, 32 * FETCH_WARPS, 0, p);
  }

  private void finish(Tensor out) {
    if (out.storage().bytes() != null) gpu.sync();
  }

  private static int integers(FactorLayout layout) {
    return layout.store() == KeyStore.LOWRANK_INT8 ? 1 : 0;
  }
}
