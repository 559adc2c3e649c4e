package io.shadowbatch.kernels.cuda;

import java.util.Arrays;

/** A growing array of 8-byte words, of which a kernel's table is made: its ints in pairs. */
final class Words {
  private long[] words = new long[64];
  private int size;

  void add(long word) {
    if (size == words.length) words = Arrays.copyOf(words, 2 * size);
    words[size++] = word;
  }

  /** Two ints, the first at the lower address. */
  void add(int first, int second) {
    add((first & 0xffffffffL) | (long) second << 32);
  }

  void addAll(Words other) {
    if (size + other.size > words.length) {
      words = Arrays.copyOf(words, Math.max(2 * words.length, size + other.size));
    }
    System.arraycopy(other.words, 0, words, size, other.size);
    size += other.size;
  }

  int size() {
    return size;
  }

  /** The words themselves; those from {@link #size} on mean nothing. */
  long[] array() {
    return words;
  }
}
