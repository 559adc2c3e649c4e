package io.shadowbatch.tokens;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.function.Consumer;

/** Joins the characters of one text into pieces: highest score first, leftmost among equals. */
final class PieceMerger {
  private final String text;
  private final Map<String, Integer> pieces;
  private final GgufVocabulary vocabulary;
  private final int[] end; // [symbol] index after its last char, = start when joined away
  private final int[] start; // [symbol]
  private final int[] previous; // [symbol] or -1
  private final int[] next; // [symbol] or -1
  private final PriorityQueue<Pair> queue = new PriorityQueue<>();
  private final Map<String, Integer> cutOfUnused = new HashMap<>(); // piece to length of its left

  private record Pair(float score, int left, int right, int length) implements Comparable<Pair> {
    @Override
    public int compareTo(Pair other) {
      int byScore = Float.compare(other.score, score);
      return byScore != 0 ? byScore : Integer.compare(left, other.left);
    }
  }

  PieceMerger(String text, Map<String, Integer> pieces, GgufVocabulary vocabulary) {
    this.text = text;
    this.pieces = pieces;
    this.vocabulary = vocabulary;
    int count = text.codePointCount(0, text.length());
    start = new int[count];
    end = new int[count];
    previous = new int[count];
    next = new int[count];
    int at = 0;
    for (int i = 0; i < count; i++) {
      start[i] = at;
      at += Character.charCount(text.codePointAt(at));
      end[i] = at;
      previous[i] = i - 1;
      next[i] = i + 1 < count ? i + 1 : -1;
    }
    for (int i = 1; i < count; i++) {
      offer(i - 1, i);
    }
    merge();
  }

  private void offer(int left, int right) {
    if (left < 0 || right < 0) {
      return;
    }
    String joined = text.substring(start[left], end[right]);
    Integer id = pieces.get(joined);
    if (id == null) {
      return;
    }
    queue.add(new Pair(vocabulary.scores()[id], left, right, joined.length()));
    if (vocabulary.types()[id] == GgufVocabulary.UNUSED) {
      cutOfUnused.put(joined, end[left] - start[left]);
    }
  }

  private void merge() {
    while (!queue.isEmpty()) {
      Pair pair = queue.poll();
      int left = pair.left;
      int right = pair.right;
      boolean stale =
          start[left] == end[left]
              || start[right] == end[right]
              || end[right] - start[left] != pair.length;
      if (stale) {
        continue;
      }
      end[left] = end[right];
      end[right] = start[right];
      next[left] = next[right];
      if (next[left] >= 0) {
        previous[next[left]] = left;
      }
      offer(previous[left], left);
      offer(left, next[left]);
    }
  }

  void forEachPiece(Consumer<String> sink) {
    for (int i = start.length == 0 ? -1 : 0; i >= 0; i = next[i]) {
      emit(text.substring(start[i], end[i]), sink);
    }
  }

  /** Pieces that the vocabulary marks unused are only steps of merging: they come apart again. */
  private void emit(String whole, Consumer<String> sink) {
    // not by recursion: a hostile vocabulary nests them as deep as it has tokens
    Deque<String> left = new ArrayDeque<>();
    left.push(whole);
    while (!left.isEmpty()) {
      String piece = left.pop();
      Integer cut = cutOfUnused.get(piece);
      if (cut == null) {
        sink.accept(piece);
      } else {
        left.push(piece.substring(cut));
        left.push(piece.substring(0, cut));
      }
    }
  }
}
