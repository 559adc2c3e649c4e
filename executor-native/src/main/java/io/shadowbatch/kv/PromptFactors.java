package io.shadowbatch.kv;

import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The low-rank keys of prompts, each page's made once for all prompts that have it. A basis belongs
 * to the last page of the segment that it was found from, and lives as long.
 */
final class PromptFactors implements AutoCloseable {
  private static final int THREADS_MOST = 8;
  private static final int SEGMENT = LowRankKeys.SEGMENT_TOKENS / KvLayout.TILE;

  /** A basis with the factors of pages in it, by the pages' serials. */
  private static final class Space {
    private final LowRankBasis basis;
    private final Map<Long, BlockPool.Block> factors = new HashMap<>();

    Space(LowRankBasis basis) {
      this.basis = basis;
    }
  }

  private final FactorLayout layout;
  private final LowRankKeys keys;
  private final KvPages pages;
  private final MemoryTier device;
  private final BlockPool blocks;
  private final Map<Long, Space> spaces = new HashMap<>(); // by the serial of a segment's last page

  PromptFactors(
      Kernels kernels, FactorLayout layout, RopeTable rope, KvPages pages, MemoryTier device) {
    int threads = Math.min(THREADS_MOST, Runtime.getRuntime().availableProcessors());
    this.layout = layout;
    this.keys = new LowRankKeys(kernels, layout, rope, threads);
    this.pages = pages;
    this.device = device;
    this.blocks = device.pool((int) layout.pageBytes());
  }

  FactorLayout layout() {
    return layout;
  }

  /** Factors of the pages of a prompt, from position 0; at least a whole segment of them. */
  PageFactors[] of(int[] numbers) {
    PageFactors[] result = new PageFactors[numbers.length];
    Space space = null;
    for (int from = 0; from < numbers.length; from += SEGMENT) {
      int to = Math.min(numbers.length, from + SEGMENT);
      if (to - from == SEGMENT) space = space(space, numbers, from);
      write(space, numbers, from, to);
      for (int i = from; i < to; i++) {
        BlockPool.Block block = space.factors.get(pages.serial(numbers[i]));
        result[i] = new PageFactors(space.basis, block.tensor());
      }
    }
    return result;
  }

  private Space space(Space before, int[] numbers, int from) {
    int last = numbers[from + SEGMENT - 1];
    long serial = pages.serial(last);
    Space known = spaces.get(serial);
    if (known != null) return known;
    Tensor[] halves = halves(Arrays.copyOfRange(numbers, from, from + SEGMENT));
    LowRankBasis basis =
        before == null
            ? keys.first(halves)
            : keys.extend(before.basis, halves, from * KvLayout.TILE);
    Space space = before != null && basis == before.basis ? before : new Space(basis);
    spaces.put(serial, space);
    if (space == before) {
      pages.atEnd(last, () -> spaces.remove(serial));
    } else {
      device.use(basis.bytes());
      pages.atEnd(last, () -> forget(serial, space));
    }
    return space;
  }

  private void forget(long serial, Space space) {
    spaces.remove(serial);
    space.factors.values().forEach(BlockPool.Block::close);
    space.factors.clear();
    space.basis.close();
    device.use(-space.basis.bytes());
  }

  private Tensor[] halves(int[] numbers) {
    Tensor[] result = new Tensor[numbers.length];
    for (int i = 0; i < result.length; i++) result[i] = pages.keys(numbers[i]);
    return result;
  }

  /** Makes the factors of pages [from, to) of a prompt that nobody made yet. */
  private void write(Space space, int[] numbers, int from, int to) {
    for (int at = from; at < to; ) {
      int end = at;
      List<Tensor> into = new ArrayList<>();
      while (end < to && !space.factors.containsKey(pages.serial(numbers[end]))) {
        BlockPool.Block block = blocks.takeOver();
        if (block == null) throw new OutOfMemoryError("no memory for low-rank keys");
        long serial = pages.serial(numbers[end]);
        space.factors.put(serial, block);
        pages.atEnd(numbers[end], () -> drop(space, serial));
        into.add(block.tensor());
        end++;
      }
      if (end > at) {
        Tensor[] halves = halves(Arrays.copyOfRange(numbers, at, end));
        keys.write(space.basis, halves, at * KvLayout.TILE, into.toArray(Tensor[]::new));
      }
      at = Math.max(end, at + 1);
    }
  }

  private static void drop(Space space, long serial) {
    BlockPool.Block block = space.factors.remove(serial);
    if (block != null) block.close();
  }

  @Override
  public void close() {
    new HashMap<>(spaces).forEach((serial, space) -> space.basis.close());
    keys.close();
  }
}
