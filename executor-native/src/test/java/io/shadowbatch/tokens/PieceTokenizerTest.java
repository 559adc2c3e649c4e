package io.shadowbatch.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The SentencePiece rule: highest score first, leftmost among equals; bytes for the rest. */
class PieceTokenizerTest {
  private static final int BYTES_FROM = 3; // <unk> <s> </s>, then 256 byte pieces

  private final List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));
  private final List<Integer> types = new ArrayList<>(List.of(2, 3, 3));
  private final List<Float> scores = new ArrayList<>(List.of(0f, 0f, 0f));

  private void add(String text, int type, float score) {
    tokens.add(text);
    types.add(type);
    scores.add(score);
  }

  private void addBytes() {
    for (int b = 0; b < 256; b++) {
      add(String.format("<0x%02X>", b), 6, 0);
    }
  }

  private GgufVocabulary vocabulary(boolean spacePrefix) {
    float[] all = new float[scores.size()];
    for (int i = 0; i < all.length; i++) {
      all[i] = scores.get(i);
    }
    return new GgufVocabulary(
        "llama",
        "default",
        tokens.toArray(String[]::new),
        types.stream().mapToInt(Integer::intValue).toArray(),
        new String[0],
        all,
        1,
        2,
        0,
        true,
        false,
        spacePrefix,
        false);
  }

  /** Joins pair after pair over the whole text, as the rule is written. */
  private int[] oracle(String text) {
    List<String> parts = new ArrayList<>();
    text.replace(' ', '\u2581').codePoints().forEach(c -> parts.add(Character.toString(c)));
    while (true) {
      int best = -1;
      for (int i = 0; i + 1 < parts.size(); i++) {
        int id = normal(parts.get(i) + parts.get(i + 1));
        if (id >= 0
            && (best < 0
                || scores.get(id) > scores.get(normal(parts.get(best) + parts.get(best + 1))))) {
          best = i;
        }
      }
      if (best < 0) {
        break;
      }
      parts.set(best, parts.get(best) + parts.remove(best + 1));
    }
    List<Integer> ids = new ArrayList<>();
    for (String part : parts) {
      if (normal(part) >= 0) {
        ids.add(normal(part));
      } else {
        for (byte b : part.getBytes(StandardCharsets.UTF_8)) {
          ids.add(BYTES_FROM + (b & 0xFF));
        }
      }
    }
    return ids.stream().mapToInt(Integer::intValue).toArray();
  }

  private int normal(String text) {
    int id = tokens.indexOf(text);
    return id >= 0 && types.get(id) == 1 ? id : -1;
  }

  @Test
  void randomVocabulariesAgreeWithTheRule() {
    long seed = 20240705;
    System.out.println("seed " + seed);
    Random random = new Random(seed);
    int checked = 0;
    for (int round = 0; round < 60; round++) {
      tokens.subList(3, tokens.size()).clear();
      types.subList(3, types.size()).clear();
      scores.subList(3, scores.size()).clear();
      addBytes();
      String letters = "ab\u2581é😀";
      letters.codePoints().limit(4).forEach(c -> add(Character.toString(c), 1, -100));
      for (int i = 0; i < 40; i++) {
        String piece = randomText(random, 2 + random.nextInt(4)).replace(' ', '\u2581');
        if (!tokens.contains(piece)) {
          add(piece, 1, -random.nextInt(8)); // few scores: many ties
        }
      }
      Tokenizer tokenizer = Tokenizer.of(vocabulary(false));
      for (int i = 0; i < 60; i++) {
        String text = randomText(random, random.nextInt(30));
        int[] ids = tokenizer.encode(text);
        assertThat(ids).as("seed %s round %s text '%s'", seed, round, text).isEqualTo(oracle(text));
        assertThat(tokenizer.decode(ids, 0, ids.length)).isEqualTo(text);
        checked++;
      }
    }
    assertThat(checked).isEqualTo(3600);
  }

  private static String randomText(Random random, int length) {
    String[] letters = {"a", "b", " ", "é", "😀", "a", " "};
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < length; i++) {
      out.append(letters[random.nextInt(letters.length)]);
    }
    return out.toString();
  }

  @Test
  void spacePrefixComesBeforeTextAndAfterSpecials() {
    addBytes();
    add("\u2581", 1, -1);
    add("a", 1, -2);
    add("\u2581a", 1, -3);
    Tokenizer tokenizer = Tokenizer.of(vocabulary(true));
    int prefixed = tokens.indexOf("\u2581a");
    assertThat(tokenizer.encode("a</s>a")).containsExactly(prefixed, 2, prefixed);
    assertThat(tokenizer.encode("")).isEmpty();
    assertThat(tokenizer.encodeWithModelSpecials("a")).containsExactly(1, prefixed);
    int[] ids = tokenizer.encodeWithModelSpecials("a");
    assertThat(tokenizer.decode(ids, 0, 2)).isEqualTo(" a");
    assertThat(tokenizer.decodeWithSpecials(ids, 0, 2)).isEqualTo("<s> a");
    assertThat(tokenizer.bytes(1)).isEmpty();
    assertThat(tokenizer.bytes(BYTES_FROM + 0xC3)).containsExactly(0xC3);
    assertThat(tokenizer.isSpecial(1)).isTrue();
    assertThat(tokenizer.vocabularySize()).isEqualTo(tokens.size());
  }

  @Test
  void userDefinedTokensAreTakenWholeAndStayInTheText() {
    addBytes();
    add("\u2581\u2581", 4, 0);
    add("<tool>", 4, 0);
    add("<tool>x", 4, 0);
    Tokenizer tokenizer = Tokenizer.of(vocabulary(false));
    int[] ids = tokenizer.encode("  <tool>x<tool>");
    assertThat(ids)
        .containsExactly(
            tokens.indexOf("\u2581\u2581"), tokens.indexOf("<tool>x"), tokens.indexOf("<tool>"));
    assertThat(tokenizer.decode(ids, 0, ids.length)).isEqualTo("  <tool>x<tool>");
  }

  @Test
  void unusedPiecesAreStepsOnly() {
    addBytes();
    add("a", 1, -9);
    add("b", 1, -9);
    add("ab", 5, -1);
    add("abb", 1, -2);
    Tokenizer tokenizer = Tokenizer.of(vocabulary(false));
    assertThat(tokenizer.encode("abb")).containsExactly(tokens.indexOf("abb"));
    assertThat(tokenizer.encode("ab")).containsExactly(tokens.indexOf("a"), tokens.indexOf("b"));
  }

  @Test
  void withoutBytesTheUnknownTokenStandsIn() {
    add("a", 1, -1);
    assertThat(Tokenizer.of(vocabulary(false)).encode("aé")).containsExactly(3, 0);
  }

  @Test
  void megabytesOfOneLetterAreEncoded() {
    addBytes();
    add("a", 1, -9);
    add("aa", 1, -1);
    add("aaaa", 1, -2);
    String text = "a".repeat(1 << 20);
    int[] ids = Tokenizer.of(vocabulary(false)).encode(text);
    assertThat(ids).hasSize(1 << 18);
    assertThat(Arrays.stream(ids).distinct().toArray()).containsExactly(tokens.indexOf("aaaa"));
  }

  @Test
  void inconsistentVocabularyIsRefused() {
    add("a", 1, -1);
    GgufVocabulary v = vocabulary(false);
    GgufVocabulary few =
        new GgufVocabulary(
            "llama",
            "",
            v.tokens(),
            v.types(),
            v.merges(),
            new float[2],
            1,
            2,
            0,
            true,
            false,
            true,
            false);
    assertThatThrownBy(() -> Tokenizer.of(few)).hasMessageContaining("expected 4 scores, got 2");
    assertThatThrownBy(
            () ->
                new GgufVocabulary(
                    "llama",
                    "",
                    v.tokens(),
                    new int[1],
                    v.merges(),
                    v.scores(),
                    1,
                    2,
                    0,
                    true,
                    false,
                    true,
                    false))
        .hasMessageContaining("expected 4 token types, got 1");
  }
}
