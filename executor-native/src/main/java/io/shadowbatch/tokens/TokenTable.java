package io.shadowbatch.tokens;

import java.nio.charset.StandardCharsets;
import java.util.Objects;

/** The bytes of every token; decodes, and knows nothing of encoding. */
final class TokenTable {
  private static final byte[] NONE = {};

  private final byte[][] bytes; // [id], special tokens written out
  private final boolean[] special; // [id]

  TokenTable(int size) {
    bytes = new byte[size][];
    special = new boolean[size];
  }

  void putText(int id, String text) {
    bytes[id] = text.getBytes(StandardCharsets.UTF_8);
  }

  void putSpecial(int id, String text) {
    putText(id, text);
    special[id] = true;
  }

  void putByteLevel(int id, String text) {
    bytes[id] = ByteLevel.bytes(text);
  }

  /** A SentencePiece-style piece: {@code ▁} is a space, {@code <0xAB>} one byte. */
  void putPiece(int id, String piece) {
    int value = byteValue(piece);
    if (value >= 0) {
      bytes[id] = new byte[] {(byte) value};
    } else {
      putText(id, piece.replace('\u2581', ' '));
    }
  }

  /** The value of a {@code <0xAB>} piece, or -1. */
  static int byteValue(String piece) {
    if (piece.length() != 6 || !piece.startsWith("<0x") || piece.charAt(5) != '>') {
      return -1;
    }
    int high = Character.digit(piece.charAt(3), 16);
    int low = Character.digit(piece.charAt(4), 16);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }

  int size() {
    return bytes.length;
  }

  boolean isSpecial(int id) {
    return special[checked(id)];
  }

  byte[] bytes(int id) {
    byte[] found = special[checked(id)] ? NONE : bytes[id];
    return found == null ? NONE : found.clone();
  }

  String text(int[] ids, int from, int to, boolean keepSpecials) {
    Objects.checkFromToIndex(from, to, ids.length);
    int length = 0;
    for (int i = from; i < to; i++) {
      length += part(ids[i], keepSpecials).length;
    }
    byte[] all = new byte[length];
    int at = 0;
    for (int i = from; i < to; i++) {
      byte[] part = part(ids[i], keepSpecials);
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
    }
    return new String(all, StandardCharsets.UTF_8);
  }

  private byte[] part(int id, boolean keepSpecials) {
    byte[] found = special[checked(id)] && !keepSpecials ? NONE : bytes[id];
    return found == null ? NONE : found;
  }

  private int checked(int id) {
    if (id < 0 || id >= bytes.length) {
      throw new IndexOutOfBoundsException(
          "token id must be in [0, " + bytes.length + "), got " + id);
    }
    return id;
  }
}
