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
  private final long[] pageAddresses;
  private final int[] firstPages;

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
    this.firstPages = new int[segments.size() + 1];
    int pages = 0;
    for (int s = 0; s < segments.size(); s++) {
      for (KvSegment g : segments.get(s)) pages += g.pages().length;
      firstPages[s + 1] = pages;
    }
    this.pageAddresses = new long[pages];
    int i = 0;
    for (List<KvSegment> slice : segments) {
      for (KvSegment g : slice) {
        for (var page : g.pages()) pageAddresses[i++] = page.address();
      }
    }
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

  /** Addresses of all pages of all segments, in order; for backends that use addresses. */
  public long[] pageAddresses() {
    return pageAddresses;
  }

  /** Index in {@link #pageAddresses} of the first page of each slice, and the total at the end. */
  public int[] firstPages() {
    return firstPages;
  }

  /**
   * True if every slice reads one dense segment from position 0: the case that all kernels serve.
   */
  public boolean isDensePrefix() {
    for (List<KvSegment> slice : segments) {
      if (slice.size() != 1 || !slice.get(0).isDense() || slice.get(0).firstPosition() != 0) {
        return false;
      }
    }
    return true;
  }
}
