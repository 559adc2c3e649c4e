package io.shadowbatch.tokens.template;

import java.time.ZonedDateTime;
import java.time.format.TextStyle;
import java.util.Locale;

/** Python's {@code strftime} with English names; unknown directives are refused. */
final class Strftime {
  private Strftime() {}

  static String format(Run run, String format) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%') {
        out.append(c);
      } else if (++i == format.length()) {
        throw run.fail("strftime_now: a format cannot end in %");
      } else {
        directive(run, format.charAt(i), out);
        run.checkChars(out.length());
      }
    }
    return run.text(out.toString());
  }

  private static void directive(Run run, char directive, StringBuilder out) {
    ZonedDateTime t = run.now;
    Locale english = Locale.ENGLISH;
    switch (directive) {
      case 'Y' -> out.append(t.getYear());
      case 'y' -> two(out, t.getYear() % 100);
      case 'm' -> two(out, t.getMonthValue());
      case 'd' -> two(out, t.getDayOfMonth());
      case 'H' -> two(out, t.getHour());
      case 'I' -> two(out, (t.getHour() + 11) % 12 + 1);
      case 'M' -> two(out, t.getMinute());
      case 'S' -> two(out, t.getSecond());
      case 'j' -> out.append(String.format("%03d", t.getDayOfYear()));
      case 'p' -> out.append(t.getHour() < 12 ? "AM" : "PM");
      case 'B' -> out.append(t.getMonth().getDisplayName(TextStyle.FULL, english));
      case 'b' -> out.append(t.getMonth().getDisplayName(TextStyle.FULL, english), 0, 3);
      case 'A' -> out.append(t.getDayOfWeek().getDisplayName(TextStyle.FULL, english));
      case 'a' -> out.append(t.getDayOfWeek().getDisplayName(TextStyle.FULL, english), 0, 3);
      case '%' -> out.append('%');
      default ->
          throw run.fail("strftime_now: " + run.shown("%" + directive) + " is not supported");
    }
  }

  private static void two(StringBuilder out, int value) {
    out.append((char) ('0' + value / 10)).append((char) ('0' + value % 10));
  }
}
