package io.shadowbatch.kv;

import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Which pages each sequence holds; entry i of a sequence has its positions [64 i, 64 i + 64). */
final class SequencePages {
  private static final int TILE = KvLayout.TILE;

  private static final class Table {
    private int[] pages = new int[8];
    private int count;

    void add(int page) {
      if (count == pages.length) pages = Arrays.copyOf(pages, 2 * count);
      pages[count++] = page;
    }
  }

  private final KvPages pool;
  private final Map<Integer, Table> tables = new HashMap<>();

  SequencePages(KvPages pool) {
    this.pool = pool;
  }

  boolean reserve(int sequence, int tokens) {
    Table table = tables.computeIfAbsent(sequence, s -> new Table());
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

  boolean attach(int sequence, KvSpan span, int at) {
    Table table = tables.computeIfAbsent(sequence, s -> new Table());
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

  KvSpan share(int sequence, int from, int to) {
    Table table = table(sequence);
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

  /** Positions [from, length) of a sequence, all of them; from is at a page. */
  KvSegment dense(int sequence, int from, int length) {
    Table table = table(sequence);
    int end = (length + TILE - 1) / TILE;
    if (end > table.count) {
      throw new IllegalStateException(
          "attend: sequence %d reserved %d tokens, position %d is asked for"
              .formatted(sequence, table.count * TILE, length - 1));
    }
    Tensor[] keys = new Tensor[end - from / TILE];
    Tensor[] values = new Tensor[keys.length];
    for (int i = 0; i < keys.length; i++) {
      keys[i] = pool.keys(table.pages[from / TILE + i]);
      values[i] = pool.values(table.pages[from / TILE + i]);
    }
    return KvSegment.dense(keys, values, from, length - from);
  }

  /** The first {@code count} pages of a sequence. */
  int[] first(int sequence, int count) {
    Table table = table(sequence);
    if (count > table.count) {
      throw new IllegalStateException(
          "sequence %d has %d pages, %d are asked for".formatted(sequence, table.count, count));
    }
    return Arrays.copyOf(table.pages, count);
  }

  /** True if it held pages. */
  boolean release(int sequence) {
    Table table = tables.remove(sequence);
    if (table == null) return false;
    for (int i = 0; i < table.count; i++) pool.drop(table.pages[i]);
    return true;
  }

  int sequences() {
    return tables.size();
  }

  /** Fails if the sequence holds nothing. */
  void require(int sequence) {
    table(sequence);
  }

  private Table table(int sequence) {
    Table table = tables.get(sequence);
    if (table == null) throw new IllegalStateException("sequence " + sequence + " has no pages");
    return table;
  }
}
