package io.shadowbatch.kv;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/** Blocks of one size out of slabs of a tier's memory, which are taken as blocks are wanted. */
final class BlockPool {
  private static final long SLAB_BYTES = 64L << 20;
  private static final int SLAB_BLOCKS = 1024;
  private static final int LEAST_BLOCKS = 8;

  private static final class Slab {
    final Storage storage;
    final ArrayDeque<Integer> free = new ArrayDeque<>();
    final int blocks;

    Slab(Storage storage, int blocks) {
      this.storage = storage;
      this.blocks = blocks;
      for (int i = 0; i < blocks; i++) free.add(i);
    }
  }

  /** A block that somebody holds, until {@link #close}. */
  final class Block implements AutoCloseable {
    private final Slab slab;
    private final int index;
    private final Tensor tensor;
    private boolean open = true;

    private Block(Slab slab, int index) {
      this.slab = slab;
      this.index = index;
      long offset = (long) index * blockBytes;
      this.tensor = new Tensor(slab.storage, offset, DType.U8, 1, blockBytes, blockBytes);
    }

    /** U8 [1, blockBytes]. */
    Tensor tensor() {
      return tensor;
    }

    MemoryTier tier() {
      return tier;
    }

    @Override
    public void close() {
      if (!open) throw new IllegalStateException("a block of memory is given back twice");
      open = false;
      slab.free.push(index);
      tier.use(-blockBytes);
    }
  }

  private final MemoryTier tier;
  private final int blockBytes;
  private final List<Slab> slabs = new ArrayList<>();

  BlockPool(MemoryTier tier, int blockBytes) {
    this.tier = tier;
    this.blockBytes = blockBytes;
  }

  int blockBytes() {
    return blockBytes;
  }

  /** Bytes of the first slab. */
  long slabBytes() {
    return slabBytes(tier.limit());
  }

  /** Bytes of a slab that is to fit into {@code room}, if at least a few blocks do. */
  private long slabBytes(long room) {
    long blocks = Math.min(SLAB_BLOCKS, Math.min(room, SLAB_BYTES) / blockBytes);
    long least = Math.min(LEAST_BLOCKS, Math.max(1, tier.limit() / blockBytes));
    return Math.max(blocks, least) * blockBytes;
  }

  /** Bytes taken from the tier's source, held by somebody or not. */
  long heldBytes() {
    long bytes = 0;
    for (Slab slab : slabs) bytes += (long) slab.blocks * blockBytes;
    return bytes;
  }

  /** A block, with whatever it held before; null if the tier has no room. */
  Block take() {
    return tier.free() < blockBytes ? null : takeOver();
  }

  /** A block, though the tier may be full; null only if the system has no memory. */
  Block takeOver() {
    Slab slab = roomy();
    if (slab == null) return null;
    tier.use(blockBytes);
    return new Block(slab, slab.free.pop());
  }

  private Slab roomy() {
    for (Slab slab : slabs) if (!slab.free.isEmpty()) return slab;
    long bytes = slabBytes(tier.limit() - tier.held());
    Storage storage = tier.slab(bytes);
    if (storage == null) return null;
    Slab slab = new Slab(storage, (int) (bytes / blockBytes));
    slabs.add(slab);
    return slab;
  }

  /** Gives back slabs of which nobody holds a block. */
  void shrink() {
    slabs.removeIf(
        slab -> {
          boolean unused = slab.free.size() == slab.blocks;
          if (unused) slab.storage.close();
          return unused;
        });
  }

  void close() {
    slabs.forEach(slab -> slab.storage.close());
    slabs.clear();
  }
}
