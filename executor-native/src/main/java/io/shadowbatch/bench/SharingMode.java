package io.shadowbatch.bench;

import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.schedule.PrefixReuse;

/** Ways to run a workload on the same engine; all give the same tokens. */
enum SharingMode {
  /** No prefix is reused, requests come shuffled. */
  NONE(PrefixReuse.OFF, PrefixAttention.SEPARATE, Order.SHUFFLED, 0),
  /** Prefixes are kept while memory lasts, requests come shuffled. */
  LRU_RANDOM(PrefixReuse.LRU, PrefixAttention.SEPARATE, Order.SHUFFLED, 0),
  /**
   * Prefixes are kept, requests come in depth-first order of their token trie, and 16 of them run
   * at most: the cap of the simulation, as engines have that limit a step by requests.
   */
  CAPPED(PrefixReuse.LRU, PrefixAttention.SEPARATE, Order.SORTED, 16),
  /** The same without the cap, so that memory is the only limit: memory-centric batching. */
  LRU_SORTED(PrefixReuse.LRU, PrefixAttention.SEPARATE, Order.SORTED, 0),
  /** Sorted, and rows that read the same page go through it together: the engine's default. */
  SHARED(PrefixReuse.PLANNED, PrefixAttention.SHARED, Order.SORTED, 0);

  /** Order in which requests come. */
  enum Order {
    SHUFFLED,
    SORTED
  }

  private final PrefixReuse reuse;
  private final PrefixAttention attention;
  private final Order order;
  private final int sequencesMax;

  SharingMode(PrefixReuse reuse, PrefixAttention attention, Order order, int sequencesMax) {
    this.reuse = reuse;
    this.attention = attention;
    this.order = order;
    this.sequencesMax = sequencesMax;
  }

  Order order() {
    return order;
  }

  EngineConfig of(EngineConfig config) {
    return config.with(reuse, attention, sequencesMax);
  }
}
