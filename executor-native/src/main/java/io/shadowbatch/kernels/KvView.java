package io.shadowbatch.kernels;

import java.util.List;

/**
 * What each slice of a token batch attends to: its segments, left to right, in slice order. The
 * same for all layers of a step.
 */
public final class KvView {
  private final KvLayout layout;
  private final List<List<KvSegment>> segments;
  private final PrefixAttention attention;
  private final long[] keyAddresses;
  private final long[] valueAddresses;
  private final int[] slicePages;
  private ChunkPicks picks;

  /**
   * @param segments one list for each slice
   */
  public KvView(KvLayout layout, List<List<KvSegment>> segments) {
    this(layout, segments, PrefixAttention.SHARED);
  }

  /**
   * @param segments one list for each slice
   */
  public KvView(KvLayout layout, List<List<KvSegment>> segments, PrefixAttention attention) {
    this.layout = layout;
    this.attention = attention;
    this.segments = segments;
    this.slicePages = new int[3 * segments.size()];
    int pages = 0;
    for (int s = 0; s < segments.size(); s++) {
      slicePages[3 * s + 1] = -1;
      for (KvSegment g : segments.get(s)) {
        int firstTile = g.firstPosition() / KvLayout.TILE;
        slicePages[3 * s + 2] = firstTile;
        slicePages[3 * s] = pages - firstTile;
        if (g.picks() != null) {
          slicePages[3 * s + 1] = pages;
          requireOnePicks(g.picks());
        }
        pages += g.keys().length;
      }
    }
    this.keyAddresses = new long[pages];
    this.valueAddresses = new long[pages];
    int i = 0;
    for (List<KvSegment> slice : segments) {
      for (KvSegment g : slice) {
        for (int page = 0; page < g.keys().length; page++, i++) {
          keyAddresses[i] = g.keys()[page].address();
          valueAddresses[i] = g.values()[page].address();
        }
      }
    }
  }

  private void requireOnePicks(ChunkPicks next) {
    if (picks != null && picks != next) {
      throw new IllegalArgumentException(
          "kv view: segments with different picks; all of a view need one and the same object");
    }
    picks = next;
  }

  public KvLayout layout() {
    return layout;
  }

  /** How pages that several slices read are walked; a backend may ignore it. */
  public PrefixAttention attention() {
    return attention;
  }

  /** Segments of slice {@code slice}. */
  public List<KvSegment> segments(int slice) {
    return segments.get(slice);
  }

  /** Addresses of the key halves of all segments, in order; for backends that use addresses. */
  public long[] keyAddresses() {
    return keyAddresses;
  }

  /** Addresses of the value halves, in the same order. */
  public long[] valueAddresses() {
    return valueAddresses;
  }

  /**
   * Three numbers for each slice: index in {@link #keyAddresses} of the page that tile 0 would have
   * if the dense segment began there (so it may be negative), index of the first page of its picked
   * segment or -1, and the first tile of the dense segment.
   */
  public int[] slicePages() {
    return slicePages;
  }

  /** What the picked segments are read by, or null if there is none. */
  public ChunkPicks picks() {
    return picks;
  }

  /** The picked segment of a slice, or null. */
  public KvSegment picked(int slice) {
    KvSegment first = segments.get(slice).get(0);
    return first.picks() == null ? null : first;
  }

  /** The dense segment of a slice: its last, where new tokens go. */
  public KvSegment dense(int slice) {
    List<KvSegment> all = segments.get(slice);
    return all.get(all.size() - 1);
  }

  /**
   * True if a slice reads one dense segment from position 0, or a picked one and behind it a dense
   * one: what kernels serve.
   */
  public boolean isServed(int slice) {
    KvSegment dense = dense(slice);
    KvSegment picked = picked(slice);
    return dense.isDense()
        && segments.get(slice).size() == (picked == null ? 1 : 2)
        && dense.firstPosition() == (picked == null ? 0 : picked.length())
        && (picked == null || !picked.isMoved());
  }
}
