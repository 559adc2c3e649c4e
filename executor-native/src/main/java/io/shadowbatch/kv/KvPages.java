package io.shadowbatch.kv;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.Arrays;

/**
 * A pool of pages with reference counts. Memory is taken from the backend in slabs as pages are
 * first used, up to the limit; where the backend has less, the pool ends there. Does not know who
 * holds a page.
 */
public final class KvPages implements AutoCloseable {
  private static final long SLAB_BYTES = 64L << 20;

  private final Kernels kernels;
  private final int pageBytes;
  private final int slabPages;
  private final Storage[] slabs; // page p lies in slab p / slabPages
  private final Tensor[] pages; // null where the slab is
  private final int[] holders;
  private final ArrayDeque<Integer> free = new ArrayDeque<>();
  private int made;
  private int limit;

  /**
   * @param bytes limit for all pages; at least one page must fit
   * @throws IllegalStateException if the memory of the first pages cannot be had
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
    this.limit = (int) Math.min(count, Integer.MAX_VALUE / 2);
    this.pages = new Tensor[limit];
    this.holders = new int[limit];
    this.slabs = new Storage[(limit + slabPages - 1) / slabPages];
    if (!grow()) {
      throw new IllegalStateException(
          "kv memory: the machine has not even %d bytes left of %d; allow the process more"
              .formatted((long) Math.min(slabPages, pages.length) * pageBytes, bytes));
    }
  }

  /** Most pages; falls when memory turns out to be short. */
  public int size() {
    return limit;
  }

  /** Pages that nobody holds. */
  public int freePages() {
    return limit - made + free.size();
  }

  /** A page for one holder, or -1 if none is free or its memory cannot be had. */
  public int take() {
    if (free.isEmpty() && !grow()) return -1;
    int page = free.pop();
    holders[page] = 1;
    return page;
  }

  /** Takes the memory of one more slab; false if there is none, which makes that the limit. */
  private boolean grow() {
    if (made >= limit) return false;
    int slab = 0;
    while (slabs[slab] != null) slab++;
    int first = slab * slabPages;
    int end = Math.min(pages.length, first + slabPages);
    try {
      slabs[slab] = kernels.allocate((long) (end - first) * pageBytes);
    } catch (OutOfMemoryError e) {
      limit = made;
      return false;
    }
    for (int page = first; page < end; page++) {
      long offset = (long) (page - first) * pageBytes;
      pages[page] = new Tensor(slabs[slab], offset, DType.U8, 1, pageBytes, pageBytes);
      free.add(page);
    }
    made += end - first;
    return true;
  }

  /**
   * Gives back the memory of slabs in which nobody holds a page, and does not take it again: the
   * limit falls to what is left, but never below one slab.
   *
   * @return pages given back
   */
  public int shrink() {
    int before = made;
    for (int slab = 0; slab < slabs.length; slab++) {
      int first = slab * slabPages;
      int end = Math.min(pages.length, first + slabPages);
      if (slabs[slab] == null || !nobodyHolds(first, end)) continue;
      free.removeIf(page -> page / slabPages == first / slabPages);
      Arrays.fill(pages, first, end, null);
      slabs[slab].close();
      slabs[slab] = null;
      made -= end - first;
    }
    limit = Math.min(limit, Math.max(made, slabPages));
    return before - made;
  }

  private boolean nobodyHolds(int first, int end) {
    for (int page = first; page < end; page++) if (holders[page] > 0) return false;
    return true;
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
    for (Storage slab : slabs) if (slab != null) slab.close();
    Arrays.fill(slabs, null);
    Arrays.fill(pages, null);
  }
}
