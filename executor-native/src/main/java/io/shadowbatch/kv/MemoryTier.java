package io.shadowbatch.kv;

import io.shadowbatch.tensor.Storage;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongFunction;

/**
 * Memory of one kind, such as a device's or its host's: so many bytes, which the block pools of the
 * tier share. What blocks hold counts as used; what pools took from the system but nobody holds
 * does not.
 */
final class MemoryTier {
  private final LongFunction<Storage> source;
  private final List<BlockPool> pools = new ArrayList<>();
  private long limit;
  private long used;

  /**
   * @param source gives zeroed memory, or throws {@link OutOfMemoryError}
   * @param limit most bytes in use; falls when the source has less
   */
  MemoryTier(LongFunction<Storage> source, long limit) {
    this.source = source;
    this.limit = limit;
  }

  /** Blocks of one size out of this tier. */
  BlockPool pool(int blockBytes) {
    BlockPool pool = new BlockPool(this, blockBytes);
    pools.add(pool);
    return pool;
  }

  long limit() {
    return limit;
  }

  long used() {
    return used;
  }

  /** Bytes that blocks can still have; none while more is used than the limit allows. */
  long free() {
    return Math.max(0, limit - used);
  }

  void use(long bytes) {
    used += bytes;
  }

  /** Memory of a slab, or null where the source has no more: then the tier ends at what it has. */
  Storage slab(long bytes) {
    if (held() + bytes > limit) pools.forEach(BlockPool::shrink);
    try {
      return source.apply(bytes);
    } catch (OutOfMemoryError e) {
      limit = Math.min(limit, Math.max(held(), bytes)); // never 0: it may be had later
      return null;
    }
  }

  /**
   * Gives back slabs of which no block is held; the limit falls to what is left, or {@code least}.
   */
  void shrink(long least) {
    pools.forEach(BlockPool::shrink);
    limit = Math.min(limit, Math.max(held(), least));
  }

  /** Bytes that pools took from the source, in use or not. */
  long held() {
    long bytes = 0;
    for (BlockPool pool : pools) bytes += pool.heldBytes();
    return bytes;
  }

  void close() {
    pools.forEach(BlockPool::close);
  }
}
