package io.shadowbatch.kv;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/**
 * Pages with reference counts, up to a limit of device memory. Both halves of a page, its keys and
 * its values, start in device memory and may be moved, each alone, to another tier. Does not know
 * who holds a page.
 */
public final class KvPages implements AutoCloseable {
  private static final class Page {
    private BlockPool.Block keys;
    private BlockPool.Block values;
    private final List<Runnable> atEnd = new ArrayList<>();
    private BlockPool.Block landmarks;
    private long serial;
    private int holders;

    void close() {
      keys.close();
      values.close();
      if (landmarks != null) landmarks.close();
      landmarks = null;
      atEnd.forEach(Runnable::run);
      atEnd.clear();
    }
  }

  private final Kernels kernels;
  private final KvLayout layout;
  private final MemoryTier device;
  private final BlockPool halves;
  private final List<Page> pages = new ArrayList<>();
  private final ArrayDeque<Integer> free = new ArrayDeque<>(); // numbers of pages that are no more
  private long serials;

  /**
   * @param bytes limit for all pages; at least one page must fit
   * @throws IllegalStateException if the memory of the first pages cannot be had
   */
  public KvPages(Kernels kernels, KvLayout layout, long bytes) {
    this(kernels, layout, new MemoryTier(kernels::allocate, bytes));
  }

  /** The same in a tier that others use too. */
  KvPages(Kernels kernels, KvLayout layout, MemoryTier device) {
    if (device.limit() < layout.pageBytes() || layout.pageBytes() > 1L << 30) {
      throw new IllegalArgumentException(
          "kv memory: %d bytes hold no page of %d bytes; give it more"
              .formatted(device.limit(), layout.pageBytes()));
    }
    this.kernels = kernels;
    this.layout = layout;
    this.device = device;
    this.halves = device.pool((int) layout.halfBytes());
    long bytes = device.limit();
    BlockPool.Block first = halves.take();
    if (first == null) {
      throw new IllegalStateException(
          "kv memory: the machine has not even %d bytes left of %d; allow the process more"
              .formatted(halves.slabBytes(), bytes));
    }
    first.close();
  }

  /** Most pages with both halves on the device; falls when memory turns out to be short. */
  public int size() {
    return (int) Math.min(Integer.MAX_VALUE / 2, device.limit() / layout.pageBytes());
  }

  /** Pages for which the device has room. */
  public int freePages() {
    return (int) Math.min(Integer.MAX_VALUE / 2, device.free() / layout.pageBytes());
  }

  /** A page for one holder, or -1 if none is free or its memory cannot be had. */
  public int take() {
    BlockPool.Block keys = halves.take();
    if (keys == null) return -1;
    BlockPool.Block values = halves.take();
    if (values == null) {
      keys.close();
      return -1;
    }
    if (free.isEmpty()) {
      free.push(pages.size());
      pages.add(new Page());
    }
    int number = free.pop();
    Page page = pages.get(number);
    page.keys = keys;
    page.values = values;
    page.serial = ++serials;
    page.holders = 1;
    return number;
  }

  /**
   * Gives back memory of which nobody holds anything, and does not take it again: the limit falls
   * to what is left, but never below one slab.
   *
   * @return pages by which the limit fell
   */
  public int shrink() {
    int before = size();
    device.shrink(halves.slabBytes());
    return before - size();
  }

  /** One more holder. */
  public void hold(int page) {
    held(page).holders++;
  }

  /** One holder less; the last one frees the page. */
  public void drop(int page) {
    Page p = held(page);
    if (--p.holders > 0) return;
    p.close();
    free.push(page);
  }

  private Page held(int page) {
    Page p = pages.get(page);
    if (p.holders <= 0) throw new IllegalStateException("kv page " + page + " is free");
    return p;
  }

  /** How many hold a page. */
  public int holders(int page) {
    return pages.get(page).holders;
  }

  /** A number that no other page ever has. */
  long serial(int page) {
    return held(page).serial;
  }

  /** The half with the keys: U8 [1, halfBytes]. */
  public Tensor keys(int page) {
    return pages.get(page).keys.tensor();
  }

  /** The half with the values: U8 [1, halfBytes]. */
  public Tensor values(int page) {
    return pages.get(page).values.tensor();
  }

  /** Moves the keys of a page into a block of another tier; null keeps them where they are. */
  void moveKeys(int page, BlockPool.Block to) {
    if (to == null) return;
    Page p = held(page);
    p.keys = moved(p.keys, to);
  }

  /** Moves the values of a page into a block of another tier; null keeps them where they are. */
  void moveValues(int page, BlockPool.Block to) {
    if (to == null) return;
    Page p = held(page);
    p.values = moved(p.values, to);
  }

  private BlockPool.Block moved(BlockPool.Block from, BlockPool.Block to) {
    kernels.copy(from.tensor(), to.tensor());
    from.close();
    return to;
  }

  /** Where halves of pages come from. */
  BlockPool halves() {
    return halves;
  }

  /** True while the values are on the device. */
  boolean valuesOnDevice(int page) {
    return held(page).values.tier() == device;
  }

  /** True while the keys are on the device. */
  boolean keysOnDevice(int page) {
    return held(page).keys.tier() == device;
  }

  /** The means of the page's chunks, or null while nobody asked for them. */
  Tensor landmarks(int page) {
    BlockPool.Block block = held(page).landmarks;
    return block == null ? null : block.tensor();
  }

  /** The block of the page's landmarks, which lives as long as the page. */
  void landmarks(int page, BlockPool.Block block) {
    held(page).landmarks = block;
  }

  /** What to do when the page is freed. */
  void atEnd(int page, Runnable action) {
    held(page).atEnd.add(action);
  }

  /** Copies all bytes of a page. */
  public void copy(int from, int to) {
    kernels.copy(keys(from), keys(to));
    kernels.copy(values(from), values(to));
  }

  @Override
  public void close() {
    device.close();
  }
}
