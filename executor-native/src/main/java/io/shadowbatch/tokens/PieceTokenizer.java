package io.shadowbatch.tokens;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * A SentencePiece-style BPE: of all neighbouring pairs that form a piece, the one of the highest
 * score is joined first, the leftmost where scores are equal.
 *
 * <p>Written in Java because a list of ranked merges cannot say this rule: two pairs that form the
 * same piece would get different ranks, and overlapping pairs (runs of spaces) then join
 * differently.
 */
final class PieceTokenizer implements Tokenizer {
  private static final char SPACE = '\u2581';

  private final GgufVocabulary vocabulary;
  private final TokenTable table;
  private final Map<String, Integer> pieces = new HashMap<>(); // what merging may form
  private final SpecialTrie specials = new SpecialTrie();
  private final int[] byteIds = new int[256];

  PieceTokenizer(GgufVocabulary v) {
    vocabulary = v;
    if (v.scores().length != v.tokens().length) {
      throw new TokenizerException(
          "vocabulary: expected " + v.tokens().length + " scores, got " + v.scores().length);
    }
    if (v.removeExtraWhitespaces()) {
      throw new TokenizerException(
          "vocabulary: expected remove_extra_whitespaces=false, got true (not supported)");
    }
    table = new TokenTable(v.tokens().length);
    java.util.Arrays.fill(byteIds, -1);
    for (int id = 0; id < v.tokens().length; id++) {
      put(id, v.tokens()[id], v.types()[id]);
    }
  }

  private void put(int id, String text, int type) {
    switch (type) {
      case GgufVocabulary.CONTROL -> {
        table.putSpecial(id, text);
        specials.put(text, id);
      }
      case GgufVocabulary.UNKNOWN -> table.putSpecial(id, text);
      case GgufVocabulary.USER_DEFINED -> {
        table.putPiece(id, text);
        specials.put(text.replace(SPACE, ' '), id);
      }
      case GgufVocabulary.BYTE -> {
        table.putPiece(id, text);
        int value = TokenTable.byteValue(text);
        if (value < 0) {
          throw new TokenizerException(
              "vocabulary: expected a byte piece <0xAB>, got '" + text + "'");
        }
        byteIds[value] = id;
      }
      case GgufVocabulary.NORMAL -> {
        table.putPiece(id, text);
        pieces.put(text, id);
      }
      default -> pieces.put(text, id);
    }
  }

  @Override
  public int[] encode(String text) {
    TextCheck.check(text);
    IdList out = new IdList();
    int start = 0;
    int at = 0;
    while (at < text.length()) {
      SpecialTrie.Match match = specials.longestAt(text, at);
      if (match == null) {
        at++;
        continue;
      }
      encodePlain(text.substring(start, at), out);
      out.add(match.id());
      at += match.length();
      start = at;
    }
    encodePlain(text.substring(start), out);
    return out.toArray();
  }

  @Override
  public int[] encodeWithModelSpecials(String text) {
    return ModelSpecials.of(vocabulary).around(encode(text));
  }

  private void encodePlain(String text, IdList out) {
    if (text.isEmpty()) {
      return;
    }
    // a fragment always begins the text or follows a special token: both take the prefix
    String escaped = (vocabulary.addSpacePrefix() ? " " + text : text).replace(' ', SPACE);
    new PieceMerger(escaped, pieces, vocabulary).forEachPiece(piece -> emit(piece, out));
  }

  private void emit(String piece, IdList out) {
    Integer id = pieces.get(piece);
    if (id != null) {
      out.add(id);
      return;
    }
    byte[] raw = piece.getBytes(StandardCharsets.UTF_8);
    for (byte b : raw) {
      if (byteIds[b & 0xFF] < 0) {
        emitUnknown(piece, out);
        return;
      }
    }
    for (byte b : raw) {
      out.add(byteIds[b & 0xFF]);
    }
  }

  private void emitUnknown(String piece, IdList out) {
    if (vocabulary.unkId() < 0) {
      throw new TokenizerException(
          "encode: no piece, no bytes and no unknown token for a text of %d characters"
              .formatted(piece.length()));
    }
    out.add(vocabulary.unkId());
  }

  @Override
  public String decode(int[] ids, int from, int to) {
    return table.text(ids, from, to, false);
  }

  @Override
  public String decodeWithSpecials(int[] ids, int from, int to) {
    return table.text(ids, from, to, true);
  }

  @Override
  public byte[] bytes(int id) {
    return table.bytes(id);
  }

  @Override
  public int vocabularySize() {
    return table.size();
  }

  @Override
  public boolean isSpecial(int id) {
    return table.isSpecial(id);
  }
}
