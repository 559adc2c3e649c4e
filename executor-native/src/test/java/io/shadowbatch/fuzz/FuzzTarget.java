package io.shadowbatch.fuzz;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * A parser that is fed with hostile bytes. A class that implements this has a public constructor
 * without arguments, and {@code public static void fuzzerTestOneInput(byte[])}, which Jazzer calls.
 */
public interface FuzzTarget {

  /** What JSON is made of, and values that are seldom thought of. */
  List<String> JSON_WORDS =
      List.of(
          "null",
          "true",
          "[null]",
          "[[",
          "{}",
          "[]",
          "\"\"",
          "{\"",
          "\":",
          ",",
          "-1",
          "1e999",
          "NaN",
          "0.5",
          "1.0",
          "99999999999999999999",
          "4294967295",
          "2147483648",
          "-9223372036854775808",
          "\\ud800",
          "\\u0000",
          "\"[1]\"");

  /** Honest inputs to begin with, all of them accepted; small, so that many fit into a second. */
  List<byte[]> seeds();

  /** Texts that are put into inputs more often than chance would; at least one. */
  default List<String> words() {
    return List.of("<s>");
  }

  /**
   * Parses an input; whatever else than the parser's documented exceptions leaves is a bug.
   *
   * @return whether it was accepted; false if it was refused by a documented exception
   */
  boolean accepts(byte[] input) throws Exception;

  /** The parts of an input that stands for several files or columns: bytes 0 lie between them. */
  static List<byte[]> parts(byte[] input) {
    List<byte[]> parts = new ArrayList<>();
    int from = 0;
    for (int i = 0; i <= input.length; i++) {
      if (i < input.length && input[i] != 0) continue;
      parts.add(java.util.Arrays.copyOfRange(input, from, i));
      from = i + 1;
    }
    return parts;
  }

  /** An input of these parts. */
  static byte[] joined(String... parts) {
    return String.join("\0", parts).getBytes(StandardCharsets.UTF_8);
  }
}
