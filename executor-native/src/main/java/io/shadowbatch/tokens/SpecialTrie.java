package io.shadowbatch.tokens;

import java.util.HashMap;
import java.util.Map;

/** Finds the longest of a set of token texts that begins at a place in a text. */
final class SpecialTrie {
  private final Map<Character, SpecialTrie> children = new HashMap<>();
  private int id = -1;

  record Match(int id, int length) {}

  void put(String text, int tokenId) {
    if (text.isEmpty()) {
      return;
    }
    SpecialTrie node = this;
    for (int i = 0; i < text.length(); i++) {
      node = node.children.computeIfAbsent(text.charAt(i), c -> new SpecialTrie());
    }
    node.id = tokenId;
  }

  /** The longest match that begins at {@code at}, or null. */
  Match longestAt(String text, int at) {
    Match found = null;
    SpecialTrie node = this;
    for (int i = at; i < text.length(); i++) {
      node = node.children.get(text.charAt(i));
      if (node == null) {
        break;
      }
      if (node.id >= 0) {
        found = new Match(node.id, i + 1 - at);
      }
    }
    return found;
  }
}
