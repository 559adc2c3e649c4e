package io.shadowbatch.eval;

import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What an answer should say. */
sealed interface AnswerKey {

  /** How much of a text is right. */
  Marks mark(String text);

  /** Whether the text says all that it will: generation may end. */
  boolean complete(String text);

  /**
   * Fields of answers, to be added up.
   *
   * @param expected fields that should be there
   * @param named fields that are there
   * @param right fields that are there and right
   */
  record Marks(int expected, int named, int right) {
    static final Marks NONE = new Marks(0, 0, 0);

    Marks plus(Marks other) {
      return new Marks(expected + other.expected, named + other.named, right + other.right);
    }

    /** Harmonic mean of precision and recall over all fields; NaN if there are none. */
    double f1() {
      return 2.0 * right / (expected + named);
    }

    boolean perfect() {
      return right == expected && named == expected;
    }
  }

  /** The first number of the answer. */
  record Number(String digits) implements AnswerKey {
    private static final Pattern DIGITS = Pattern.compile("[0-9]+");
    private static final Pattern CLOSED = Pattern.compile("[0-9][^0-9]");

    @Override
    public Marks mark(String text) {
      Matcher m = DIGITS.matcher(text);
      boolean found = m.find();
      return new Marks(1, found ? 1 : 0, found && m.group().equals(digits) ? 1 : 0);
    }

    @Override
    public boolean complete(String text) {
      return CLOSED.matcher(text).find();
    }
  }

  /**
   * Fields of a flat JSON object, strings or numbers. Read leniently, up to the first closing
   * brace: an object that was cut off still has its fields. Of a name that comes twice the first
   * counts.
   *
   * @param opening of the object, which the prompt ends with
   */
  record Fields(String opening, Map<String, String> values) implements AnswerKey {
    private static final Pattern FIELD =
        Pattern.compile("\"([^\"]+)\"\\s*:\\s*(?:\"([^\"]*)\"|([^\\s,\"{}]+))");

    @Override
    public Marks mark(String text) {
      int end = text.indexOf('}');
      Matcher m = FIELD.matcher(opening + (end < 0 ? text : text.substring(0, end)));
      Map<String, String> found = new HashMap<>();
      while (m.find()) {
        found.putIfAbsent(m.group(1), m.group(2) == null ? m.group(3) : m.group(2).strip());
      }
      int right = 0;
      for (var field : values.entrySet()) {
        if (field.getValue().equals(found.get(field.getKey()))) right++;
      }
      return new Marks(values.size(), found.size(), right);
    }

    @Override
    public boolean complete(String text) {
      return text.indexOf('}') >= 0;
    }
  }
}
