package io.shadowbatch.kv;

import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Which chunk lies in which slot, for one layer and KV head: what was read last stays, and nothing
 * moves. Chunks of a step stay until the step ends.
 */
final class SlotTable {
  private record Entry(int slot, long step) {}

  private final LinkedHashMap<Long, Entry> entries = new LinkedHashMap<>(); // oldest use first
  private final ArrayDeque<Integer> free = new ArrayDeque<>();
  private int capacity;

  /** Slots [0, capacity) may be used; what lies beyond is forgotten. */
  void resize(int slots) {
    for (int slot = slots - 1; slot >= capacity; slot--) free.push(slot);
    if (slots < capacity) {
      free.removeIf(slot -> slot >= slots);
      entries.values().removeIf(entry -> entry.slot >= slots);
    }
    capacity = slots;
  }

  /** The slot of a chunk, or -1 if it has none. */
  int find(long chunk, long step) {
    Entry entry = entries.remove(chunk);
    if (entry == null) return -1;
    entries.put(chunk, new Entry(entry.slot, step));
    return entry.slot;
  }

  /**
   * A slot for a chunk that has none: a free one, or that of the chunk that was read longest ago.
   */
  int take(long chunk, long step) {
    if (free.isEmpty()) {
      Iterator<Map.Entry<Long, Entry>> oldest = entries.entrySet().iterator();
      Entry victim = oldest.hasNext() ? oldest.next().getValue() : null;
      if (victim == null || victim.step == step) {
        throw new IllegalStateException(
            "a step reads more than the %d chunks for which there are slots".formatted(capacity));
      }
      oldest.remove();
      free.push(victim.slot);
    }
    int slot = free.pop();
    entries.put(chunk, new Entry(slot, step));
    return slot;
  }
}
