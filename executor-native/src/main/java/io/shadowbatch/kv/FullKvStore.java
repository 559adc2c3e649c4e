package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Keeps all keys and values, paged: the exact policy, and the measure of all others. */
public final class FullKvStore implements KvStore {
  private final Kernels kernels;
  private final List<AttentionShape> shapes;
  private final KvLayout layout;
  private final RopeTable rope;
  private final MemoryTier device;
  private final KvPages pool;
  private final SequencePages sequences;
  private final PrefixAttention attention;
  private TokenBatch viewed;
  private KvView view;

  /**
   * @param shapes one for each layer, all of one layout
   * @param bytes memory for pages
   */
  public FullKvStore(Kernels kernels, List<AttentionShape> shapes, RopeTable rope, long bytes) {
    this(kernels, shapes, rope, bytes, PrefixAttention.SHARED);
  }

  /**
   * @param shapes one for each layer, all of one layout
   * @param bytes memory for pages
   * @param attention how pages that several sequences hold are read
   */
  public FullKvStore(
      Kernels kernels,
      List<AttentionShape> shapes,
      RopeTable rope,
      long bytes,
      PrefixAttention attention) {
    this.kernels = kernels;
    this.shapes = List.copyOf(shapes);
    this.layout = shapes.get(0).layout();
    this.rope = rope;
    this.attention = attention;
    this.device = new MemoryTier(kernels::allocate, bytes);
    this.pool = new KvPages(kernels, layout, device);
    this.sequences = new SequencePages(pool);
  }

  @Override
  public boolean reserve(int sequence, int tokens) {
    return sequences.reserve(sequence, tokens);
  }

  @Override
  public boolean attach(int sequence, KvSpan span, int at) {
    return sequences.attach(sequence, span, at);
  }

  @Override
  public KvSpan share(int sequence, int from, int to) {
    return sequences.share(sequence, from, to);
  }

  @Override
  public void attend(int layer, Tensor q, Tensor k, Tensor v, TokenBatch batch, Tensor out) {
    if (batch != viewed) {
      view = view(batch);
      viewed = batch;
    }
    AttentionShape shape = shapes.get(layer);
    kernels.append(shape, layer, k, v, batch, view, rope);
    kernels.attend(shape, layer, q, batch, view, rope, out, null);
  }

  private KvView view(TokenBatch batch) {
    List<List<KvSegment>> segments = new ArrayList<>(batch.slices().size());
    for (Slice slice : batch.slices()) {
      int length = batch.positions()[slice.endRow() - 1] + 1;
      segments.add(List.of(sequences.dense(slice.sequence(), 0, length)));
    }
    return new KvView(layout, segments, attention);
  }

  @Override
  public void seal(int sequence, int tokens) {
    sequences.require(sequence);
  }

  @Override
  public void release(int sequence) {
    if (sequences.release(sequence)) viewed = null;
  }

  @Override
  public int shrink() {
    return pool.shrink();
  }

  @Override
  public KvUsage usage() {
    return new KvUsage(
        pool.size(),
        pool.freePages(),
        layout.pageBytes(),
        KvLayout.TILE,
        sequences.sequences(),
        device.used(),
        0);
  }

  @Override
  public KvTraffic traffic() {
    return KvTraffic.NONE;
  }

  @Override
  public void close() {
    pool.close();
  }
}
