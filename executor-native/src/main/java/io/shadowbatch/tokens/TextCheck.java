package io.shadowbatch.tokens;

/**
 * Refuses texts that native code must not see.
 *
 * <p>The native regex engine gives up after ten million retries and then ends the whole process:
 * one run of ten million spaces is enough. So runs without a break are bounded here.
 */
final class TextCheck {
  /** Longest run of white space, or of anything else, in UTF-16 units. */
  static final int RUN_CHARS_MAX = 1 << 20;

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
    int runStart = 0;
    boolean runIsSpace = false;
    for (int i = 0; i < length; i++) {
      char c = text.charAt(i);
      if (isSpace(c) != runIsSpace) {
        runIsSpace = !runIsSpace;
        runStart = i;
      } else if (i - runStart >= RUN_CHARS_MAX) {
        throw new TokenizerException(
            "encode: a run "
                + (runIsSpace ? "of white space" : "without white space")
                + " must be at most "
                + RUN_CHARS_MAX
                + " UTF-16 units, got more from index "
                + runStart);
      }
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

  /** Index of the first unpaired surrogate, or -1. */
  static int halfCharacter(String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) continue;
      int whole = text.codePointAt(i);
      if (!Character.isSupplementaryCodePoint(whole)) return i;
      i++;
    }
    return -1;
  }

  private static boolean isSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }
}
