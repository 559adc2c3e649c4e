package io.shadowbatch.spark;

import io.shadowbatch.request.ErrorCode;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** Strict reading of UTF-8: malformed bytes are the row's error, never replaced in silence. */
final class Utf8 {

  private Utf8() {}

  static String decode(byte[] bytes, String column) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new RowException(
          ErrorCode.BAD_INPUT, "input", "column " + column + ": not valid UTF-8");
    }
  }
}
