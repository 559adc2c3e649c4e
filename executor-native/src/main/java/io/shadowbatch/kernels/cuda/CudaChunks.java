package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkShapes;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;

/** Landmarks and the choice of chunks by them (landmarks.cu, picks.cu). */
final class CudaChunks {
  private static final int SUMMARISE_WARPS = 4;
  private static final int SCORE_CHUNKS = 256;
  private static final int SCORE_THREADS = 128;
  private static final int SCORE_HEADS = 4;
  private static final int PICK_THREADS = 512;
  private static final int PICK_SHARED = 1224;
  private static final int ROW_NUMBERS = 8;

  /** Some waves of blocks. */
  private static final long SCORE_BYTES = 64 << 20;

  private final Gpu gpu;
  private final long scoreBytes;
  private Storage scores;
  private Storage pages;
  private ChunkView paged; // the view whose landmark addresses are on the device

  CudaChunks(Gpu gpu) {
    this(gpu, SCORE_BYTES);
  }

  /**
   * @param scoreBytes of rows that are chosen for at a time, unless one row has more
   */
  CudaChunks(Gpu gpu, long scoreBytes) {
    this.gpu = gpu;
    this.scoreBytes = scoreBytes;
  }

  void summarise(KvLayout layout, int chunkTokens, Tensor[] keys, Tensor[] landmarks) {
    LandmarkLayout to = new LandmarkLayout(layout, chunkTokens);
    ChunkShapes.summarise(to, keys, landmarks);
    requireHalves("summarise", layout);
    int blocks = layout.layers() * layout.kvHeads();
    Params p =
        gpu.params()
            .address(gpu.upload(addresses(keys), keys.length))
            .address(gpu.upload(addresses(landmarks), keys.length))
            .i32(keys.length)
            .i32(blocks)
            .i32(layout.headDim())
            .i32(chunkTokens)
            .i32(layout.blockBytes())
            .i32(to.blockBytes());
    long warps = (long) keys.length * blocks;
    int grid = Math.toIntExact((warps + SUMMARISE_WARPS - 1) / SUMMARISE_WARPS);
    gpu.launch("sb_summarise", grid, 1, 1, 32 * SUMMARISE_WARPS, 0, p);
    if (keys.length > 0) finish(landmarks[0]);
  }

  void selectChunks(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      ChunkView chunks,
      RopeTable rope,
      ChunkPicks picks) {
    ChunkShapes.select(shape, layer, q, batch, chunks, rope, picks);
    requireHalves("selectChunks", shape.layout());
    long[] rows = rows(batch, chunks, layer);
    int count = rows.length / ROW_NUMBERS;
    if (count == 0) return;
    sendPages(chunks);
    int most = 0;
    for (int i = 0; i < count; i++) most = Math.max(most, (int) rows[ROW_NUMBERS * i + 3]);
    int stride = KvLayout.TILE * ((most * chunks.layout().chunks() + 63) / KvLayout.TILE);
    long rowBytes = 4L * shape.queryHeads() * stride;
    int together = (int) Math.max(1, Math.min(count, scoreBytes / rowBytes));
    scores = atLeast(scores, together * rowBytes);
    long table = gpu.upload(rows, rows.length);
    for (int from = 0; from < count; from += together) {
      int n = Math.min(together, count - from);
      long some = table + 8L * ROW_NUMBERS * from;
      score(shape, layer, q, chunks.layout(), rope, some, n, stride);
      choose(shape, chunks.layout(), picks, some, n, stride);
    }
    finish(picks.ids());
  }

  private void score(
      AttentionShape shape,
      int layer,
      Tensor q,
      LandmarkLayout layout,
      RopeTable rope,
      long rows,
      int count,
      int stride) {
    int heads = shape.layout().kvHeads();
    Params p =
        gpu.params()
            .address(q.address())
            .address(rope.cos().address())
            .address(rope.sin().address())
            .address(rows)
            .address(pages.address())
            .address(scores.address())
            .i64(q.rowStride())
            .i64(stride)
            .i64(layout.blockOffset(layer, 0))
            .i32(layout.blockBytes())
            .i32(rope.cos().rowStride())
            .i32(rope.rotaryDim() / 2)
            .i32(shape.layout().headDim())
            .i32(shape.headsPerGroup())
            .i32(layout.chunkTokens())
            .f32(shape.scale())
            .i32(0);
    int tiles = (stride + SCORE_CHUNKS - 1) / SCORE_CHUNKS;
    int shared = SCORE_HEADS * 4 * shape.layout().headDim();
    gpu.launch("sb_chunk_scores", tiles, heads, count, SCORE_THREADS, shared, p);
  }

  private void choose(
      AttentionShape shape,
      LandmarkLayout layout,
      ChunkPicks picks,
      long rows,
      int count,
      int stride) {
    Params p =
        gpu.params()
            .address(rows)
            .address(scores.address())
            .address(picks.ids().address())
            .i64(stride)
            .i64(picks.ids().rowStride())
            .i32(shape.headsPerGroup())
            .i32(layout.chunks())
            .i32(picks.most())
            .i32(0);
    int heads = shape.layout().kvHeads();
    gpu.launch("sb_pick_chunks", 1, heads, count, PICK_THREADS, PICK_SHARED, p);
  }

  /** Of each row that picks: what PickingRow of picks.cu holds. */
  private static long[] rows(TokenBatch batch, ChunkView chunks, int layer) {
    long[] ofSlices = chunks.numbers(layer);
    int numbers = ofSlices.length / Math.max(1, batch.slices().size());
    long[] rows = new long[ROW_NUMBERS * batch.size()];
    int at = 0;
    for (int s = 0; s < batch.slices().size(); s++) {
      if (chunks.slices().get(s) == null) continue;
      Slice slice = batch.slices().get(s);
      for (int row = slice.firstRow(); row < slice.endRow(); row++, at += ROW_NUMBERS) {
        rows[at] = row;
        rows[at + 1] = batch.positions()[row];
        System.arraycopy(ofSlices, numbers * s, rows, at + 2, numbers);
      }
    }
    return Arrays.copyOf(rows, at);
  }

  /** Addresses of landmark pages stay on the device for all layers of a step. */
  private void sendPages(ChunkView chunks) {
    if (chunks == paged) return;
    long[] addresses = chunks.addresses();
    paged = null;
    pages = atLeast(pages, 8L * addresses.length);
    gpu.copy(gpu.upload(addresses, addresses.length), pages.address(), 8L * addresses.length);
    paged = chunks;
  }

  private Storage atLeast(Storage storage, long bytes) {
    if (storage != null && storage.byteSize() >= bytes) return storage;
    if (storage != null) storage.close();
    return gpu.allocate(bytes + bytes / 2);
  }

  private void finish(Tensor out) {
    if (out.storage().bytes() != null) gpu.sync();
  }

  static void requireHalves(String op, KvLayout layout) {
    if (layout.codec() != KvCodec.FP16) {
      throw new IllegalArgumentException(
          "%s: KV codec %s; the cuda backend reads FP16 (option kvCodec)"
              .formatted(op, layout.codec()));
    }
  }

  static long[] addresses(Tensor[] tensors) {
    return Arrays.stream(tensors).mapToLong(Tensor::address).toArray();
  }
}
