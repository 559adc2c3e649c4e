package io.shadowbatch.bench;

import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.schedule.PrefixReuse;

/** Ways to run a workload on the same engine; all give the same tokens. */
enum SharingMode {
  /** No prefix is reused, requests come shuffled. */
  NONE(PrefixReuse.OFF, PrefixAttention.SEPARATE, Order.SHUFFLED),
  /** Prefixes are kept while memory lasts, requests come shuffled. */
  LRU_RANDOM(PrefixReuse.LRU, PrefixAttention.SEPARATE, Order.SHUFFLED),
  /** Prefixes are kept, requests come in depth-first order of their token trie. */
  LRU_SORTED(PrefixReuse.LRU, PrefixAttention.SEPARATE, Order.SORTED),
  /** Sorted, and rows that read the same page go through it together: the engine's default. */
  SHARED(PrefixReuse.LRU, PrefixAttention.SHARED, Order.SORTED);

  /** Order in which requests come. */
  enum Order {
    SHUFFLED,
    SORTED
  }

  private final PrefixReuse reuse;
  private final PrefixAttention attention;
  private final Order order;

  SharingMode(PrefixReuse reuse, PrefixAttention attention, Order order) {
    this.reuse = reuse;
    this.attention = attention;
    this.order = order;
  }

  Order order() {
    return order;
  }

  EngineConfig of(EngineConfig config) {
    return config.with(reuse, attention);
  }
}
