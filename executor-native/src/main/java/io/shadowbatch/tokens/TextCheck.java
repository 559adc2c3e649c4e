package io.shadowbatch.tokens;

/** Refuses texts that native code must not see. */
final class TextCheck {
  private TextCheck() {}

  static void check(String text) {
    int length = text.length();
    if (length > Tokenizer.TEXT_CHARS_MAX) {
      throw new TokenizerException(
          "encode: text must be at most "
              + Tokenizer.TEXT_CHARS_MAX
              + " UTF-16 units, got "
              + length);
    }
    for (int i = 0; i < length; i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) {
        continue;
      }
      boolean pair =
          Character.isHighSurrogate(c)
              && i + 1 < length
              && Character.isLowSurrogate(text.charAt(i + 1));
      if (!pair) {
        throw new TokenizerException(
            String.format(
                "encode: expected well-formed UTF-16, got an unpaired surrogate U+%04X at index %d",
                (int) c, i));
      }
      i++;
    }
  }
}
