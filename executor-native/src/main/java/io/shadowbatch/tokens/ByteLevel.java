package io.shadowbatch.tokens;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The GPT-2 alphabet: every byte is written as one printable character. */
final class ByteLevel {
  private static final int[] BYTE_OF = byteOf(); // [character], -1 = not in the alphabet
  private static final char[] CHARACTER_OF = characterOf(); // [byte]

  private ByteLevel() {}

  private static boolean isPlain(int b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
  }

  private static char[] characterOf() {
    char[] map = new char[256];
    int next = 256;
    for (int b = 0; b < 256; b++) {
      map[b] = isPlain(b) ? (char) b : (char) next++;
    }
    return map;
  }

  private static int[] byteOf() {
    char[] forward = characterOf();
    int[] map = new int[512];
    Arrays.fill(map, -1);
    for (int b = 0; b < 256; b++) {
      map[forward[b]] = b;
    }
    return map;
  }

  /** The character that stands for byte {@code b} in [0, 256). */
  static char character(int b) {
    return CHARACTER_OF[b];
  }

  /** Bytes of a token text; a text outside the alphabet stands for itself. */
  static byte[] bytes(String text) {
    byte[] out = new byte[text.length()];
    for (int i = 0; i < out.length; i++) {
      char c = text.charAt(i);
      if (c >= BYTE_OF.length || BYTE_OF[c] < 0) {
        return text.getBytes(StandardCharsets.UTF_8);
      }
      out[i] = (byte) BYTE_OF[c];
    }
    return out;
  }
}
