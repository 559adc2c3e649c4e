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
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Keeps all keys and values, paged: the exact policy, and the measure of all others. */
public final class FullKvStore implements KvStore {
  private static final int TILE = KvLayout.TILE;

  /** Pages of one sequence; entry i holds positions [64 i, 64 i + 64). */
  private static final class PageTable {
    private int[] pages = new int[8];
    private int count;

    void add(int page) {
      if (count == pages.length) pages = Arrays.copyOf(pages, 2 * count);
      pages[count++] = page;
    }
  }

  private final Kernels kernels;
  private final List<AttentionShape> shapes;
  private final KvLayout layout;
  private final RopeTable rope;
  private final KvPages pool;
  private final PrefixAttention attention;
  private final Map<Integer, PageTable> tables = new HashMap<>();
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
    this.pool = new KvPages(kernels, layout, bytes);
  }

  @Override
  public boolean reserve(int sequence, int tokens) {
    PageTable table = tables.computeIfAbsent(sequence, s -> new PageTable());
    int wanted = (tokens + TILE - 1) / TILE;
    if (wanted - table.count > pool.freePages()) return false;
    int before = table.count;
    while (table.count < wanted) {
      int page = pool.take();
      if (page < 0) {
        while (table.count > before) pool.drop(table.pages[--table.count]);
        return false;
      }
      table.add(page);
    }
    return true;
  }

  @Override
  public boolean attach(int sequence, KvSpan span, int at) {
    PageTable table = tables.computeIfAbsent(sequence, s -> new PageTable());
    if (at != span.from() || at != table.count * TILE) {
      throw new IllegalStateException(
          "attach: span of positions [%d,%d) at %d of a sequence that has %d"
              .formatted(span.from(), span.to(), at, table.count * TILE));
    }
    int whole = (span.to() - span.from()) / TILE;
    boolean partial = (span.to() - span.from()) % TILE != 0;
    int copy = partial ? pool.take() : -1;
    if (partial && copy < 0) return false;
    for (int i = 0; i < whole; i++) {
      pool.hold(span.pages()[i]);
      table.add(span.pages()[i]);
    }
    if (partial) {
      pool.copy(span.pages()[whole], copy);
      table.add(copy);
    }
    return true;
  }

  @Override
  public KvSpan share(int sequence, int from, int to) {
    PageTable table = table(sequence);
    int last = (to + TILE - 1) / TILE;
    if (from % TILE != 0 || from >= to || last > table.count) {
      throw new IllegalStateException(
          "share: positions [%d,%d) of a sequence that has %d"
              .formatted(from, to, table.count * TILE));
    }
    int[] pages = Arrays.copyOfRange(table.pages, from / TILE, last);
    for (int page : pages) pool.hold(page);
    return new KvSpan(pool, pages, from, to);
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
      PageTable table = table(slice.sequence());
      int length = batch.positions()[slice.endRow() - 1] + 1;
      int count = (length + TILE - 1) / TILE;
      if (count > table.count) {
        throw new IllegalStateException(
            "attend: sequence %d reserved %d tokens, position %d is asked for"
                .formatted(slice.sequence(), table.count * TILE, length - 1));
      }
      Tensor[] pages = new Tensor[count];
      for (int i = 0; i < count; i++) pages[i] = pool.page(table.pages[i]);
      segments.add(List.of(KvSegment.dense(pages, 0, length)));
    }
    return new KvView(layout, segments, attention);
  }

  @Override
  public void seal(int sequence) {
    table(sequence);
  }

  @Override
  public void release(int sequence) {
    PageTable table = tables.remove(sequence);
    if (table == null) return;
    for (int i = 0; i < table.count; i++) pool.drop(table.pages[i]);
    viewed = null;
  }

  @Override
  public int shrink() {
    return pool.shrink();
  }

  @Override
  public KvUsage usage() {
    return new KvUsage(pool.size(), pool.freePages(), layout.pageBytes(), TILE, tables.size());
  }

  private PageTable table(int sequence) {
    PageTable table = tables.get(sequence);
    if (table == null) throw new IllegalStateException("sequence " + sequence + " has no pages");
    return table;
  }

  @Override
  public void close() {
    pool.close();
  }
}
