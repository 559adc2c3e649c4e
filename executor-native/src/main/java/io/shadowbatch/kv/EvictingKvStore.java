package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What evicting parts of prompts costs in quality, the baseline of stores that choose anew for each
 * row: when a prompt is complete, chunks of 8 tokens are chosen for each layer and KV head, once,
 * and the rows behind read those and the prompt's last 32 to 95 tokens. The papers of these rules
 * choose tokens; chunks are what the kernels read. Evicts nothing in fact: {@link #usage} says what
 * a store would hold that did. Prompts are not shared, because each chooses for itself.
 */
public final class EvictingKvStore implements KvStore {
  private static final int TILE = KvLayout.TILE;

  private final Kernels kernels;
  private final List<AttentionShape> shapes;
  private final KvLayout layout;
  private final RopeTable rope;
  private final Eviction eviction;
  private final KvPages pages;
  private final HostCopy reading;
  private final SequencePages sequences;
  private final Map<Integer, PromptQueries> queries = new HashMap<>();
  private final Map<Integer, Kept> prompts = new HashMap<>();
  private Storage storage;
  private ChunkPicks picks;
  private TokenBatch viewed;
  private KvView view;

  /**
   * A complete prompt.
   *
   * @param sparseTokens read by chunks, a multiple of 64
   * @param chunks [layer][kvHead] numbers, ascending
   */
  private record Kept(int promptTokens, int sparseTokens, int[][][] chunks) {}

  /**
   * @param shapes one for each layer, all of one layout
   * @param bytes memory for pages
   */
  public EvictingKvStore(
      Kernels kernels, List<AttentionShape> shapes, RopeTable rope, Eviction eviction, long bytes) {
    this.kernels = kernels;
    this.shapes = List.copyOf(shapes);
    this.layout = shapes.get(0).layout();
    this.rope = rope;
    this.eviction = eviction;
    this.pages = new KvPages(kernels, layout, bytes);
    this.reading = new HostCopy(kernels);
    this.sequences = new SequencePages(pages);
  }

  @Override
  public boolean reserve(int sequence, int tokens) {
    return sequences.reserve(sequence, tokens);
  }

  @Override
  public void attend(int layer, Tensor q, Tensor k, Tensor v, TokenBatch batch, Tensor out) {
    if (batch != viewed) {
      view = view(batch);
      viewed = batch;
    }
    AttentionShape shape = shapes.get(layer);
    kernels.append(shape, layer, k, v, batch, view, rope);
    kernels.finish(); // the layer before reads its picks where this one's go
    for (Slice slice : batch.slices()) {
      Kept kept = prompts.get(slice.sequence());
      if (kept != null) pick(slice, kept.chunks[layer]);
      else if (eviction.queries() > 0) remember(layer, q, slice, batch);
    }
    kernels.attend(shape, layer, q, batch, view, rope, out, null);
  }

  private void remember(int layer, Tensor q, Slice slice, TokenBatch batch) {
    queries
        .computeIfAbsent(
            slice.sequence(), s -> new PromptQueries(layout.layers(), eviction.queries()))
        .add(layer, q, slice, batch.positions(), reading);
  }

  private KvView view(TokenBatch batch) {
    int most = 1;
    for (Slice s : batch.slices()) {
      Kept kept = prompts.get(s.sequence());
      if (kept != null) most = Math.max(most, kept.sparseTokens / Eviction.CHUNK);
    }
    picks = new ChunkPicks(table(batch.size() * layout.kvHeads(), 1 + most), Eviction.CHUNK);
    List<List<KvSegment>> segments = new ArrayList<>(batch.slices().size());
    for (Slice s : batch.slices()) {
      int length = batch.positions()[s.endRow() - 1] + 1;
      Kept kept = prompts.get(s.sequence());
      if (kept == null) {
        segments.add(List.of(sequences.dense(s.sequence(), 0, length)));
        continue;
      }
      if (batch.positions()[s.firstRow()] < kept.promptTokens) {
        throw new IllegalStateException(
            "attend: row at %d of sequence %d, whose prompt of %d tokens is complete"
                .formatted(batch.positions()[s.firstRow()], s.sequence(), kept.promptTokens));
      }
      KvSegment all = sequences.dense(s.sequence(), 0, kept.sparseTokens);
      segments.add(
          List.of(
              KvSegment.picked(all.keys(), all.values(), kept.sparseTokens, picks),
              sequences.dense(s.sequence(), kept.sparseTokens, length)));
    }
    return new KvView(layout, segments);
  }

  private Tensor table(int rows, int columns) {
    long bytes = 4L * rows * columns;
    if (storage == null || storage.byteSize() < bytes) {
      if (storage != null) storage.close();
      storage = null; // until there is memory for another
      storage = kernels.allocateHost(bytes);
    }
    return Tensor.of(storage, DType.I32, rows, columns);
  }

  private void pick(Slice slice, int[][] heads) {
    for (int row = slice.firstRow(); row < slice.endRow(); row++) {
      for (int h = 0; h < heads.length; h++) {
        int at = row * layout.kvHeads() + h;
        picks.ids().setI32(at, 0, heads[h].length);
        for (int i = 0; i < heads[h].length; i++) picks.ids().setI32(at, 1 + i, heads[h][i]);
      }
    }
  }

  @Override
  public void seal(int sequence, int tokens) {
    sequences.require(sequence);
    int sparse = eviction.sparseTokens(tokens);
    PromptQueries asked = queries.remove(sequence);
    if (sparse == 0) return;
    int[][][] chunks = new int[layout.layers()][layout.kvHeads()][];
    for (int layer = 0; layer < chunks.length; layer++) {
      float[][] mass = new float[layout.kvHeads()][];
      if (asked != null) mass = mass(layer, sequence, tokens, asked);
      for (int h = 0; h < mass.length; h++) chunks[layer][h] = eviction.chosen(sparse, mass[h]);
    }
    prompts.put(sequence, new Kept(tokens, sparse, chunks));
    viewed = null;
  }

  /** Weight that remembered queries give each position of a prompt, [kvHeads][tokens]. */
  private float[][] mass(int layer, int sequence, int tokens, PromptQueries asked) {
    AttentionShape shape = shapes.get(layer);
    float[][] result = new float[layout.kvHeads()][tokens];
    int rows = PromptQueries.STEP;
    int width = shape.queryHeads() * layout.headDim();
    try (Storage q = kernels.allocateHost(4L * rows * width);
        Storage out = kernels.allocate(4L * rows * width);
        Storage state = kernels.allocate(8L * rows * shape.queryHeads());
        Storage sums = kernels.allocate(4L * layout.kvHeads() * tokens)) {
      Tensor mass = Tensor.of(sums, DType.F32, layout.kvHeads(), tokens);
      Tensor states = Tensor.of(state, DType.F32, rows, 2 * shape.queryHeads());
      for (int from = 0; from < asked.size(layer); from += rows) {
        Tensor all = Tensor.of(q, DType.F32, rows, width);
        kernels.finish(); // the rows before are read
        TokenBatch batch = asked.batch(layer, from, sequence, all);
        int n = batch.size();
        int length = batch.positions()[n - 1] + 1;
        KvSegment dense = sequences.dense(sequence, 0, length);
        KvView whole = new KvView(layout, List.of(List.of(dense)));
        Tensor some = all.rows(0, n);
        Tensor into = Tensor.of(out, DType.F32, n, width);
        kernels.attend(shape, layer, some, batch, whole, rope, into, states.rows(0, n));
        kernels.attentionMass(shape, layer, some, batch, whole, rope, states.rows(0, n), mass);
      }
      Tensor weights = reading.of(mass);
      for (int h = 0; h < result.length; h++) weights.readRow(h, result[h]);
    }
    return result;
  }

  @Override
  public KvSpan share(int sequence, int from, int to) {
    throw new UnsupportedOperationException("prompts of which parts are evicted share nothing");
  }

  @Override
  public boolean attach(int sequence, KvSpan span, int at) {
    throw new UnsupportedOperationException("prompts of which parts are evicted share nothing");
  }

  @Override
  public void release(int sequence) {
    queries.remove(sequence);
    prompts.remove(sequence);
    if (sequences.release(sequence)) viewed = null;
  }

  @Override
  public int shrink() {
    return pages.shrink();
  }

  /** Pages in use as they are, bytes as if what is not chosen had been given back. */
  @Override
  public KvUsage usage() {
    long bytes = (pages.size() - pages.freePages()) * layout.pageBytes();
    long tokenBytes = 2L * layout.blockBytes() / TILE;
    for (Kept kept : prompts.values()) {
      bytes -= kept.sparseTokens / TILE * layout.pageBytes();
      for (int[][] heads : kept.chunks) {
        for (int[] head : heads) bytes += head.length * Eviction.CHUNK * tokenBytes;
      }
    }
    return new KvUsage(
        pages.size(), pages.freePages(), layout.pageBytes(), TILE, sequences.sequences(), bytes, 0);
  }

  @Override
  public KvTraffic traffic() {
    return KvTraffic.NONE;
  }

  @Override
  public void close() {
    if (storage != null) storage.close();
    reading.close();
    pages.close();
  }
}
