package io.shadowbatch.spark;

import io.shadowbatch.request.ErrorCode;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Strict reading and writing of UTF-8: malformed bytes are the row's error, never replaced in
 * silence.
 */
final class Utf8 {

  private static final char REPLACEMENT = '\ufffd';

  private Utf8() {}

  /** JSON can escape half a character, which has no UTF-8; Java would write a question mark. */
  static byte[] encode(String text, String what) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) continue;
      boolean pair =
          Character.isHighSurrogate(c)
              && i + 1 < text.length()
              && Character.isLowSurrogate(text.charAt(i + 1));
      if (!pair) {
        throw new RowException(
            ErrorCode.BAD_INPUT,
            "input",
            "%s: expected whole characters, got half of a surrogate pair at %d".formatted(what, i));
      }
      i++;
    }
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** The lenient decoder is many times faster and leaves a mark where it replaced something. */
  static String decode(byte[] bytes, String column) {
    String text = new String(bytes, StandardCharsets.UTF_8);
    if (text.indexOf(REPLACEMENT) < 0) return text;
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new RowException(
          ErrorCode.BAD_INPUT, "input", "column " + column + ": not valid UTF-8");
    }
  }
}
