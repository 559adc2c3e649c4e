package io.shadowbatch.spark;

/** What to tell a user about an exception. */
final class Failures {

  private static final int LENGTH_MAX = 400;

  private Failures() {}

  /** First line of the message, cut to a length fit for a terminal. */
  static String firstLine(Throwable e) {
    String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    String line = message.lines().findFirst().orElse("");
    return line.length() > LENGTH_MAX ? line.substring(0, LENGTH_MAX) + ".." : line;
  }

  /** The first cause of this type, or null. */
  static <T extends Throwable> T cause(Throwable e, Class<T> type) {
    int depth = 0;
    for (Throwable t = e; t != null && depth < 50; t = t.getCause(), depth++) {
      if (type.isInstance(t)) return type.cast(t);
    }
    return null;
  }
}
