package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A model file that is damaged, hostile or not supported. The message names the file, the byte
 * where that is known, what was found and what was expected.
 */
public final class ModelFileException extends IOException {
  private static final long serialVersionUID = 1;
  private static final int QUOTE_MAX = 120;

  public ModelFileException(Path file, String message) {
    super(file + ": " + message);
  }

  public ModelFileException(Path file, long offset, String message) {
    super(file + ": byte " + offset + ": " + message);
  }

  /** A name out of an untrusted file, cut to a length fit for a message. */
  static String quote(String name) {
    return name.length() <= QUOTE_MAX
        ? "'" + name + "'"
        : "'" + name.substring(0, QUOTE_MAX) + "..' (" + name.length() + " characters)";
  }
}
