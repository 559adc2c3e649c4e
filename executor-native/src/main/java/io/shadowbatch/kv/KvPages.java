package io.shadowbatch.kv;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A pool of pages with reference counts. Memory is taken from the backend in slabs as pages are
 * first used, up to the limit. Does not know who holds a page.
 */
public final class KvPages implements AutoCloseable {
  private static final long SLAB_BYTES = 64L << 20;

  private final Kernels kernels;
  private final int pageBytes;
  private final int slabPages;
  private final Tensor[] pages;
  private final int[] holders;
  private final ArrayDeque<Integer> free = new ArrayDeque<>();
  private final List<Storage> slabs = new ArrayList<>();
  private int made;

  /**
   * @param bytes limit for all pages; at least one page must fit
   */
  public KvPages(Kernels kernels, KvLayout layout, long bytes) {
    long count = bytes / layout.pageBytes();
    if (count < 1 || layout.pageBytes() > 1L << 30) {
      throw new IllegalArgumentException(
          "kv memory: %d bytes hold no page of %d bytes; give it more"
              .formatted(bytes, layout.pageBytes()));
    }
    this.kernels = kernels;
    this.pageBytes = (int) layout.pageBytes();
    this.slabPages = (int) Math.max(1, Math.min(count, SLAB_BYTES / pageBytes));
    this.pages = new Tensor[(int) Math.min(count, Integer.MAX_VALUE / 2)];
    this.holders = new int[pages.length];
  }

  /** Most pages. */
  public int size() {
    return pages.length;
  }

  /** Pages that nobody holds. */
  public int freePages() {
    return pages.length - made + free.size();
  }

  /** A page for one holder, or -1 if none is free. */
  public int take() {
    if (free.isEmpty()) {
      if (made == pages.length) return -1;
      grow();
    }
    int page = free.pop();
    holders[page] = 1;
    return page;
  }

  private void grow() {
    int count = Math.min(slabPages, pages.length - made);
    Storage slab = kernels.allocate((long) count * pageBytes);
    slabs.add(slab);
    for (int i = 0; i < count; i++) {
      long offset = (long) i * pageBytes;
      pages[made + i] = new Tensor(slab, offset, DType.U8, 1, pageBytes, pageBytes);
      free.add(made + i);
    }
    made += count;
  }

  /** One more holder. */
  public void hold(int page) {
    if (holders[page] <= 0) throw new IllegalStateException("kv page " + page + " is free");
    holders[page]++;
  }

  /** One holder less; the last one frees the page. */
  public void drop(int page) {
    if (holders[page] <= 0) throw new IllegalStateException("kv page " + page + " is free");
    if (--holders[page] == 0) free.push(page);
  }

  /** How many hold a page. */
  public int holders(int page) {
    return holders[page];
  }

  /** The memory of a page. */
  public Tensor page(int page) {
    return pages[page];
  }

  /** Copies all bytes of a page. */
  public void copy(int from, int to) {
    Tensor a = pages[from];
    Tensor b = pages[to];
    b.storage()
        .bytes()
        .put((int) b.byteOffset(), a.storage().bytes(), (int) a.byteOffset(), pageBytes);
  }

  @Override
  public void close() {
    slabs.forEach(Storage::close);
    slabs.clear();
    Arrays.fill(pages, null);
  }
}
