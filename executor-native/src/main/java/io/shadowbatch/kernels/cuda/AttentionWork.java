package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the blocks of sb_attend and sb_attend_merge do in a step, the same for all layers of a
 * shape. A packed row is a token row and a query head of a KV head's group; an item is up to 64
 * packed rows against a run of tokens (attention.h has the tables).
 *
 * <p>Two forms, chosen by the slice alone, so that a row's bits do not depend on other slices:
 * slices of more than {@value #FEW} packed rows walk all their tokens in one go; others are cut at
 * multiples of {@value #SPLIT} positions, and a second kernel merges the splits. Slices of few rows
 * whose first splits are the same pages walk those together, which changes no bit. Those with
 * picked chunks, which differ by row, are cut too: gathered tokens in splits of their own, then the
 * dense ones.
 */
final class AttentionWork {
  /** Most packed rows of a slice that is cut into splits. */
  static final int FEW = 32;

  /** Tokens of a split. */
  static final int SPLIT = 512;

  private static final int TILE = KvLayout.TILE;
  private static final int SPLIT_TILES = SPLIT / TILE;
  private static final int ITEM_ROWS = 64;
  private static final int DIRECT = Integer.MIN_VALUE;

  /** Items and merges of one round; rounds use the same partial results one after another. */
  record Round(int firstItem, int items, int firstMerge, int merges) {}

  /** A slice of few rows; parts of row i are [part + i * parts, part + (i + 1) * parts). */
  private record Member(int slice, int gathered, int firstSplit, int parts, int part) {}

  private final AttentionShape shape;
  private final TokenBatch batch;
  private final KvView view;
  private final int group;
  private final Words pages = new Words();
  private final Words items = new Words();
  private final Words rows = new Words();
  private final Words merges = new Words();
  private final List<Round> rounds = new ArrayList<>();
  private int most;

  /**
   * @param partsMax partial results of a row that a round may have, unless one slice needs more
   */
  AttentionWork(AttentionShape shape, TokenBatch batch, KvView view, int partsMax) {
    this.shape = shape;
    this.batch = batch;
    this.view = view;
    this.group = shape.headsPerGroup();
    List<Integer> prompts = new ArrayList<>();
    List<Integer> few = new ArrayList<>();
    for (int s = 0; s < batch.slices().size(); s++) {
      boolean cut = batch.slices().get(s).rows() * group <= FEW || view.picked(s) != null;
      (cut ? few : prompts).add(s);
    }
    prompts(prompts);
    int firstItem = 0;
    for (int from = 0; from < few.size() || firstItem == 0 && items() > 0; ) {
      int firstMerge = merges();
      from = round(few, from, partsMax);
      rounds.add(new Round(firstItem, items() - firstItem, firstMerge, merges() - firstMerge));
      firstItem = items();
    }
  }

  /** All tables, behind one another. */
  Words table() {
    Words all = new Words();
    all.addAll(pages);
    all.addAll(items);
    all.addAll(rows);
    all.addAll(merges);
    return all;
  }

  long itemsOffset() {
    return 8L * pages.size();
  }

  long rowsOffset() {
    return itemsOffset() + 8L * items.size();
  }

  long mergesOffset() {
    return rowsOffset() + 8L * rows.size();
  }

  List<Round> rounds() {
    return rounds;
  }

  /** Partial results, of all query heads each, that the largest round has. */
  int parts() {
    return most;
  }

  int items() {
    return items.size() / 4;
  }

  private int merges() {
    return merges.size() / 2;
  }

  private int position(int row) {
    return batch.positions()[row];
  }

  private int tile(int row) {
    return shape.window() == 0 ? 0 : Math.max(0, position(row) - shape.window() + 1) / TILE;
  }

  /** The longest first, so that the device is not left with one of them at the end. */
  private void prompts(List<Integer> slices) {
    record Run(int packed, int rows, int first, int end, int pages) {}
    List<Run> runs = new ArrayList<>();
    for (int s : slices) {
      Slice slice = batch.slices().get(s);
      int last = slice.endRow() - 1;
      int packed = rows(s, DIRECT, 0) * group;
      int table = pages(s, tile(slice.firstRow()), position(last) / TILE + 1);
      for (int at = 0; at < slice.rows() * group; at += ITEM_ROWS) {
        int count = Math.min(ITEM_ROWS, slice.rows() * group - at);
        int first = TILE * tile(slice.firstRow() + at / group);
        int end = position(slice.firstRow() + (at + count - 1) / group) + 1;
        runs.add(new Run(packed + at, count, first, end, table));
      }
    }
    runs.sort(Comparator.comparingInt(r -> r.first - r.end));
    for (Run r : runs) item(r.packed, r.rows, r.first, r.end, r.pages, 0, -1);
  }

  /** Slices few[from..) whose parts have room; returns the first left over. */
  private int round(List<Integer> few, int from, int partsMax) {
    List<Member> alike = new ArrayList<>();
    int parts = 0;
    while (from < few.size()) {
      Member m = member(few.get(from), parts);
      int after = parts + (m.parts == 1 ? 0 : m.parts * batch.slices().get(m.slice).rows());
      if (after > partsMax && parts > 0) break;
      parts = after;
      from++;
      merges(m);
      if (m.gathered > 0) gathered(m);
      if (m.gathered == 0 && shape.window() == 0 && view.attention() == PrefixAttention.SHARED) {
        alike.add(m);
      } else {
        own(m, m.firstSplit);
      }
    }
    most = Math.max(most, parts);
    if (!alike.isEmpty()) split(alike, 0);
    return from;
  }

  private Member member(int s, int part) {
    Slice slice = batch.slices().get(s);
    KvSegment picked = view.picked(s);
    int gathered = 0;
    if (picked != null) {
      int tokens = view.picks().most() * view.picks().chunkTokens();
      gathered = (tokens + SPLIT - 1) / SPLIT;
    }
    int firstSplit = firstTile(s) / SPLIT_TILES;
    int dense = position(slice.endRow() - 1) / SPLIT + 1 - firstSplit;
    return new Member(s, gathered, firstSplit, gathered + dense, part);
  }

  /** First tile of the dense segment that a row of the slice sees. */
  private int firstTile(int s) {
    int start = view.slicePages()[3 * s + 2];
    return Math.max(start, tile(batch.slices().get(s).firstRow()));
  }

  private void merges(Member m) {
    if (m.parts == 1) return;
    Slice slice = batch.slices().get(m.slice);
    for (int i = 0; i < slice.rows(); i++) {
      merges.add(slice.firstRow() + i, m.part + i * m.parts);
      merges.add(m.parts, 0);
    }
  }

  private void gathered(Member m) {
    Slice slice = batch.slices().get(m.slice);
    int from = view.slicePages()[3 * m.slice + 1];
    int table = copyPages(from, view.picked(m.slice).keys().length);
    int first = rows(m.slice, m.part, m.parts);
    for (int i = 0; i < slice.rows(); i++) {
      for (int g = 0; g < m.gathered; g++) {
        int row = slice.firstRow() + i;
        item((first + i) * group, group, g * SPLIT, (g + 1) * SPLIT, table, g, row);
      }
    }
  }

  /** Members that agree in all splits before {@code from}: as long as they go on to, together. */
  private void split(List<Member> members, int from) {
    if (members.size() == 1) {
      own(members.get(0), from);
      return;
    }
    int to = Integer.MAX_VALUE;
    for (Member m : members) to = Math.min(to, agreed(members.get(0), m, from));
    if (to > from) together(members, from, to);
    Map<List<LongBuffer>, List<Member>> next = new LinkedHashMap<>();
    for (Member m : members) {
      if (whole(m) > to) {
        next.computeIfAbsent(addresses(m, to), k -> new ArrayList<>()).add(m);
      } else {
        own(m, to);
      }
    }
    for (List<Member> alike : next.values()) split(alike, to);
  }

  /** Splits that all rows of the slice see whole. */
  private int whole(Member m) {
    return position(batch.slices().get(m.slice).firstRow()) / SPLIT;
  }

  /** Splits, from the first on, in which two slices read the same pages. */
  private int agreed(Member a, Member b, int from) {
    int to = from;
    int end = Math.min(whole(a), whole(b));
    while (to < end && (a == b || addresses(a, to).equals(addresses(b, to)))) to++;
    return to;
  }

  /** Addresses of a split's pages, to be compared. */
  private List<LongBuffer> addresses(Member m, int split) {
    int at = view.slicePages()[3 * m.slice] + split * SPLIT_TILES;
    return List.of(
        LongBuffer.wrap(view.keyAddresses(), at, SPLIT_TILES),
        LongBuffer.wrap(view.valueAddresses(), at, SPLIT_TILES));
  }

  private void together(List<Member> members, int from, int to) {
    int table = pages(members.get(0).slice, from * SPLIT_TILES, to * SPLIT_TILES);
    int packed = rows.size() / 2 * group;
    for (Member m : members) rows(m.slice, densePart(m), m.parts);
    int end = rows.size() / 2 * group;
    for (int split = from; split < to; split++) {
      for (int at = packed; at < end; at += ITEM_ROWS) {
        int count = Math.min(ITEM_ROWS, end - at);
        item(at, count, split * SPLIT, (split + 1) * SPLIT, table, split, -1);
      }
    }
  }

  /** The dense tokens of a slice by itself, from a split on. */
  private void own(Member m, int fromSplit) {
    Slice slice = batch.slices().get(m.slice);
    int firstTile = Math.max(firstTile(m.slice), fromSplit * SPLIT_TILES);
    int end = position(slice.endRow() - 1) + 1;
    int table = pages(m.slice, firstTile, (end + TILE - 1) / TILE);
    int packed = rows(m.slice, densePart(m), m.parts) * group;
    for (int first = firstTile * TILE; first < end; ) {
      int split = first / SPLIT;
      int to = Math.min(end, (split + 1) * SPLIT);
      for (int at = 0; at < slice.rows() * group; at += ITEM_ROWS) {
        int count = Math.min(ITEM_ROWS, slice.rows() * group - at);
        item(packed + at, count, first, to, table, split, -1);
      }
      first = to;
    }
  }

  /** Part of split 0, which the slice need not have. */
  private static int densePart(Member m) {
    return m.parts == 1 ? DIRECT : m.part + m.gathered - m.firstSplit;
  }

  private void item(int packed, int count, int first, int end, int table, int split, int picks) {
    items.add(packed, count);
    items.add(first, end);
    items.add(table, split);
    items.add(picks, 0);
  }

  /** Appends the rows of a slice; returns the index of the first. */
  private int rows(int s, int part, int each) {
    Slice slice = batch.slices().get(s);
    int first = rows.size() / 2;
    for (int row = slice.firstRow(); row < slice.endRow(); row++) {
      rows.add(row, position(row));
      rows.add(part == DIRECT ? DIRECT : part + (row - slice.firstRow()) * each, 0);
    }
    return first;
  }

  /** Appends the pages of tiles [from, to) of a dense segment; returns where tile 0 would be. */
  private int pages(int s, int from, int to) {
    return copyPages(view.slicePages()[3 * s] + from, to - from) - from;
  }

  private int copyPages(int from, int count) {
    int first = pages.size() / 2;
    for (int i = from; i < from + count; i++) {
      pages.add(view.keyAddresses()[i]);
      pages.add(view.valueAddresses()[i]);
    }
    return first;
  }
}
