package io.shadowbatch.tokens;

import java.nio.file.Path;

/**
 * Turns text into the token ids of one model and back.
 *
 * <p>Implementations are thread-safe and hold no state that a call can change. Decoding is the
 * concatenation of {@link #bytes}, read as UTF-8 with malformed parts replaced by U+FFFD: nothing
 * is stripped or tidied, so a text decoded in pieces equals the text decoded at once.
 */
public interface Tokenizer {

  /**
   * Opens a {@code tokenizer.json}.
   *
   * @throws TokenizerException if the file cannot be read, if its decoder is of a kind that is not
   *     known here, or if the native part cannot be loaded
   */
  static Tokenizer open(Path tokenizerJson) {
    return JsonTokenizers.open(tokenizerJson);
  }

  /**
   * Builds the tokenizer that a GGUF file describes.
   *
   * @throws TokenizerException if the model or pre-tokenizer name is not known, if the vocabulary
   *     is inconsistent, or if the native part cannot be loaded
   */
  static Tokenizer of(GgufVocabulary vocabulary) {
    return GgufTokenizers.of(vocabulary);
  }

  /**
   * Token ids of {@code text}. Special tokens written in the text become their ids; none is added.
   *
   * @throws TokenizerException if the text holds an unpaired surrogate or is longer than {@link
   *     #TEXT_CHARS_MAX}
   */
  int[] encode(String text);

  /**
   * Like {@link #encode}, plus the tokens (such as BOS) that the model's file says to add.
   *
   * @throws TokenizerException as {@link #encode}
   */
  int[] encodeWithModelSpecials(String text);

  /**
   * Text of {@code ids[from, to)}, special tokens left out.
   *
   * @throws IndexOutOfBoundsException if the range or an id is out of bounds
   */
  String decode(int[] ids, int from, int to);

  /**
   * Text of {@code ids[from, to)}, special tokens written out.
   *
   * @throws IndexOutOfBoundsException if the range or an id is out of bounds
   */
  String decodeWithSpecials(int[] ids, int from, int to);

  /**
   * The bytes that a token adds to the text (a copy), possibly a part of a UTF-8 sequence; empty
   * for special tokens and for ids that the vocabulary leaves unused.
   *
   * @throws IndexOutOfBoundsException if {@code id} is not in [0, vocabularySize)
   */
  byte[] bytes(int id);

  /** One more than the largest token id. The model's output may be wider than this (padding). */
  int vocabularySize();

  /**
   * Whether a token is a control token, which decoding leaves out.
   *
   * @throws IndexOutOfBoundsException if {@code id} is not in [0, vocabularySize)
   */
  boolean isSpecial(int id);

  /** Longest text that {@link #encode} accepts, in UTF-16 units. */
  int TEXT_CHARS_MAX = 16 << 20;
}
