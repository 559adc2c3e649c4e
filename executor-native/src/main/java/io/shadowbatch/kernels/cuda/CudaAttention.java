package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkShapes;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Shapes;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Storing and attending on a device, over pages of halves. The tables of a step are made at its
 * first layer and known again by the identity of batch and view.
 */
final class CudaAttention implements AutoCloseable {
  private static final List<Integer> WIDTHS = List.of(16, 32, 64, 96, 128, 256);
  private static final int APPEND_ROWS = 32;

  /** Bytes of partial results; steps that need more take rounds. */
  private static final long PARTIAL_BYTES = 256L << 20;

  /** Shapes of attention whose tables are kept; a model has one, or two with windows. */
  private static final int SHAPES = 4;

  /** A step's work for one shape, with the tables on the device. */
  private static final class Loaded {
    private final DeviceTable table;
    private TokenBatch batch;
    private KvView view;
    private AttentionWork work;

    Loaded(Gpu gpu) {
      table = new DeviceTable(gpu);
    }

    boolean isFor(TokenBatch nextBatch, KvView nextView) {
      boolean same = batch == nextBatch && view == nextView;
      batch = nextBatch;
      view = nextView;
      return same;
    }
  }

  private final Gpu gpu;
  private final long partialBytes;
  private final Map<AttentionShape, Loaded> steps = new HashMap<>();
  private final Loaded targets;
  private Storage partials;

  CudaAttention(Gpu gpu) {
    this(gpu, PARTIAL_BYTES);
  }

  /**
   * @param partialBytes memory for partial results; a slice that needs more gets it
   */
  CudaAttention(Gpu gpu, long partialBytes) {
    this.gpu = gpu;
    this.partialBytes = partialBytes;
    targets = new Loaded(gpu);
  }

  /** As {@link io.shadowbatch.kernels.Kernels#append}. */
  void append(
      AttentionShape shape,
      int layer,
      Tensor k,
      Tensor v,
      TokenBatch batch,
      KvView view,
      RopeTable rope) {
    Shapes.append(shape, layer, k, v, batch, view, rope);
    KvLayout layout = served("append", shape.layout());
    if (!targets.isFor(batch, view)) targets.table.load(targets(batch, view));
    gpu.launch(
        "sb_append",
        (batch.size() + APPEND_ROWS - 1) / APPEND_ROWS,
        layout.kvHeads(),
        1,
        256,
        2 * APPEND_ROWS * (layout.headDim() + 2),
        gpu.params()
            .address(k.address())
            .address(v.address())
            .address(rope.cos().address())
            .address(rope.sin().address())
            .address(targets.table.address())
            .i64(layout.blockOffset(layer, 0))
            .i32(k.rowStride())
            .i32(v.rowStride())
            .i32(rope.cos().rowStride())
            .i32(rope.sin().rowStride())
            .i32(rope.rotaryDim() / 2)
            .i32(layout.headDim())
            .i32(layout.blockBytes())
            .i32(batch.size()));
    if (batch.size() > 0) finish(view.dense(0).keys()[0], view.dense(0).values()[0]);
  }

  /** The page and position of each row. */
  private static Words targets(TokenBatch batch, KvView view) {
    Words words = new Words();
    for (int s = 0; s < batch.slices().size(); s++) {
      Slice slice = batch.slices().get(s);
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        int position = batch.positions()[row];
        int page = view.slicePages()[3 * s] + position / KvLayout.TILE;
        words.add(view.keyAddresses()[page]);
        words.add(view.valueAddresses()[page]);
        words.add(position, 0);
      }
    }
    return words;
  }

  /** As {@link io.shadowbatch.kernels.Kernels#attend}. */
  void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor out,
      Tensor state) {
    Shapes.attend(shape, layer, q, batch, view, rope, out, state);
    served("attend", shape.layout());
    Loaded step = load(shape, batch, view);
    for (AttentionWork.Round round : step.work.rounds()) {
      attend(shape, layer, q, view.picks(), rope, out, state, step, round);
      if (round.merges() > 0) merge(shape, out, state, step, round);
    }
    finish(out, state);
  }

  private Loaded load(AttentionShape shape, TokenBatch batch, KvView view) {
    if (steps.size() >= SHAPES && !steps.containsKey(shape)) {
      steps.values().forEach(s -> s.table.close());
      steps.clear();
    }
    Loaded step = steps.computeIfAbsent(shape, s -> new Loaded(gpu));
    if (!step.isFor(batch, view)) {
      step.work = new AttentionWork(shape, batch, view, partsMax(shape));
      step.table.load(step.work.table());
      long bytes = step.work.parts() * partBytes(shape);
      if (partials == null || partials.byteSize() < bytes) {
        if (partials != null) partials.close();
        partials = gpu.allocate(Math.max(bytes, 1 << 20));
      }
    }
    return step;
  }

  /** Of all query heads: sums of values, largest score and sum of weights. */
  private static long partBytes(AttentionShape shape) {
    return 4L * shape.queryHeads() * (shape.layout().headDim() + 2);
  }

  private int partsMax(AttentionShape shape) {
    return (int) (partialBytes / partBytes(shape));
  }

  private long partialStates(AttentionShape shape, Loaded step) {
    long sums = 4L * step.work.parts() * shape.queryHeads() * shape.layout().headDim();
    return partials.address() + sums;
  }

  private void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      ChunkPicks picks,
      RopeTable rope,
      Tensor out,
      Tensor state,
      Loaded step,
      AttentionWork.Round round) {
    KvLayout layout = shape.layout();
    long table = step.table.address();
    gpu.launch(
        "sb_attend_" + layout.headDim(),
        round.items(),
        layout.kvHeads(),
        1,
        128,
        sharedBytes(layout.headDim()),
        gpu.params()
            .address(q.address())
            .address(out.address())
            .address(state == null ? 0 : state.address())
            .address(rope.cos().address())
            .address(rope.sin().address())
            .address(table)
            .address(table + step.work.itemsOffset() + 32L * round.firstItem())
            .address(table + step.work.rowsOffset())
            .address(picks == null ? 0 : picks.ids().address())
            .address(partials.address())
            .address(partialStates(shape, step))
            .i64(layout.blockOffset(layer, 0))
            .i32(q.rowStride())
            .i32(out.rowStride())
            .i32(state == null ? 0 : state.rowStride())
            .i32(rope.cos().rowStride())
            .i32(rope.sin().rowStride())
            .i32(picks == null ? 0 : picks.ids().rowStride())
            .i32(rope.rotaryDim() / 2)
            .i32(shape.headsPerGroup())
            .i32(layout.kvHeads())
            .i32(layout.blockBytes())
            .i32(shape.window())
            .i32(picks == null ? 0 : picks.chunkTokens())
            .f32(shape.scale()));
  }

  /** As attendShared in attention.h. */
  private static int sharedBytes(int d) {
    return d > 128
        ? 2 * (2 * (d * 24 + 16 * (d + 8)) + 64 * (d + 8))
        : 2 * (2 * (d * 72 + 64 * (d + 8)));
  }

  private void merge(
      AttentionShape shape, Tensor out, Tensor state, Loaded step, AttentionWork.Round round) {
    gpu.launch(
        "sb_attend_merge",
        round.merges(),
        (shape.queryHeads() + 3) / 4,
        1,
        128,
        0,
        gpu.params()
            .address(partials.address())
            .address(partialStates(shape, step))
            .address(step.table.address() + step.work.mergesOffset() + 16L * round.firstMerge())
            .address(out.address())
            .address(state == null ? 0 : state.address())
            .i32(out.rowStride())
            .i32(state == null ? 0 : state.rowStride())
            .i32(shape.queryHeads())
            .i32(shape.layout().headDim()));
  }

  /** As {@link io.shadowbatch.kernels.Kernels#attentionMass}. */
  void attentionMass(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor state,
      Tensor mass) {
    ChunkShapes.mass(shape, layer, q, batch, view, rope, state, mass);
    KvLayout layout = served("attentionMass", shape.layout());
    Words slices = new Words();
    Words pages = new Words();
    int tiles = 0;
    for (int s = 0; s < batch.slices().size(); s++) {
      Slice slice = batch.slices().get(s);
      int end = batch.positions()[slice.endRow() - 1] / KvLayout.TILE + 1;
      tiles = Math.max(tiles, end);
      slices.add(slice.firstRow(), slice.rows());
      slices.add(pages.size() / 2, 0);
      for (int i = view.slicePages()[3 * s]; i < view.slicePages()[3 * s] + end; i++) {
        pages.add(view.keyAddresses()[i]);
        pages.add(view.valueAddresses()[i]);
      }
    }
    gpu.launch(
        "sb_attention_mass",
        tiles,
        layout.kvHeads(),
        batch.slices().size(),
        KvLayout.TILE,
        4 * layout.headDim(),
        gpu.params()
            .address(q.address())
            .address(state.address())
            .address(mass.address())
            .address(rope.cos().address())
            .address(rope.sin().address())
            .address(gpu.upload(pages.array(), pages.size()))
            .address(gpu.upload(slices.array(), slices.size()))
            .address(gpu.upload(batch.positions(), batch.size()))
            .i64(layout.blockOffset(layer, 0))
            .i32(q.rowStride())
            .i32(state.rowStride())
            .i32(mass.rowStride())
            .i32(rope.cos().rowStride())
            .i32(rope.sin().rowStride())
            .i32(rope.rotaryDim() / 2)
            .i32(shape.headsPerGroup())
            .i32(layout.kvHeads())
            .i32(layout.headDim())
            .i32(layout.blockBytes())
            .i32(shape.window())
            .f32(shape.scale()));
    finish(mass, null);
  }

  private static KvLayout served(String op, KvLayout layout) {
    if (layout.codec() != KvCodec.FP16 || !WIDTHS.contains(layout.headDim())) {
      throw new IllegalArgumentException(
          "%s: cuda stores keys and values as FP16 with heads of %s dimensions, got %s of %d"
              .formatted(op, WIDTHS, layout.codec(), layout.headDim()));
    }
    return layout;
  }

  /** What the host can read is there when an operation returns. */
  private void finish(Tensor first, Tensor second) {
    boolean isRead =
        first.storage().bytes() != null || second != null && second.storage().bytes() != null;
    if (isRead) gpu.sync();
  }

  @Override
  public void close() {
    targets.table.close();
    steps.values().forEach(s -> s.table.close());
    steps.clear();
    if (partials != null) partials.close();
    partials = null;
  }
}
