package io.shadowbatch.tokens.template;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.List;
import java.util.Map;

/** Python's idea of text: white space, code points, {@code str} and {@code repr}. */
final class PyText {
  private PyText() {}

  static boolean isSpace(int c) {
    return (c >= 9 && c <= 13)
        || (c >= 28 && c <= 32)
        || c == 0x85
        || c == 0xA0
        || c == 0x1680
        || (c >= 0x2000 && c <= 0x200A)
        || c == 0x2028
        || c == 0x2029
        || c == 0x202F
        || c == 0x205F
        || c == 0x3000;
  }

  /** {@code str.strip}: {@code chars} null means white space. */
  static String strip(String text, String chars, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && isIn(text.codePointAt(from), chars)) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && isIn(text.codePointBefore(to), chars)) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  private static boolean isIn(int c, String chars) {
    return chars == null ? isSpace(c) : chars.indexOf(c) >= 0;
  }

  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  /** {@code str(value)}. */
  static String str(Run run, Object value) {
    if (value instanceof String s) {
      return s;
    }
    if (value instanceof Markup m) {
      return m.text();
    }
    if (value instanceof Undefined) {
      return "";
    }
    StringBuilder out = new StringBuilder();
    repr(run, value, out);
    return out.toString();
  }

  static void repr(Run run, Object value, StringBuilder out) {
    run.step();
    run.checkChars(out.length());
    if (value instanceof String s) {
      quote(s, out);
    } else if (value instanceof Boolean b) {
      out.append(b ? "True" : "False");
    } else if (value instanceof Long) {
      out.append(value);
    } else if (value instanceof Double d) {
      out.append(floatRepr(d));
    } else if (value == None.NONE) {
      out.append("None");
    } else if (value instanceof Undefined) {
      out.append("Undefined");
    } else if (value instanceof Range r && r.text() != null) {
      out.append(r.text());
    } else if (value instanceof Tuple t) {
      items(run, t.items(), "(", t.items().size() == 1 ? ",)" : ")", out);
    } else if (value instanceof List<?> list) {
      items(run, list, "[", "]", out);
    } else if (value instanceof Map<?, ?> map) {
      entries(run, map, out);
    } else {
      throw run.fail("the text of a " + Values.typeName(value) + " is not supported");
    }
  }

  private static void items(Run run, List<?> list, String open, String close, StringBuilder out) {
    run.enter();
    out.append(open);
    String separator = "";
    for (Object item : list) {
      out.append(separator);
      separator = ", ";
      repr(run, item, out);
    }
    out.append(close);
    run.leave();
  }

  private static void entries(Run run, Map<?, ?> map, StringBuilder out) {
    run.enter();
    out.append('{');
    String separator = "";
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      out.append(separator);
      separator = ", ";
      repr(run, entry.getKey(), out);
      out.append(": ");
      repr(run, entry.getValue(), out);
    }
    out.append('}');
    run.leave();
  }

  private static void quote(String s, StringBuilder out) {
    char quote = s.indexOf('\'') >= 0 && s.indexOf('"') < 0 ? '"' : '\'';
    out.append(quote);
    s.codePoints().forEach(c -> quoteChar(c, quote, out));
    out.append(quote);
  }

  private static void quoteChar(int c, char quote, StringBuilder out) {
    switch (c) {
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      case '\\' -> out.append("\\\\");
      default -> {
        if (c == quote) {
          out.append('\\').append(quote);
        } else if (isPrintable(c)) {
          out.appendCodePoint(c);
        } else {
          String form = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
          out.append(String.format(form, c));
        }
      }
    }
  }

  private static boolean isPrintable(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      case Character.SPACE_SEPARATOR -> c == ' ';
      default -> true;
    };
  }

  /** The shortest decimal text that reads back as the same number, in Python's layout. */
  static String floatRepr(double d) {
    if (Double.isNaN(d)) {
      return "nan";
    }
    if (Double.isInfinite(d)) {
      return d > 0 ? "inf" : "-inf";
    }
    if (d == 0) {
      return 1 / d < 0 ? "-0.0" : "0.0";
    }
    BigDecimal shortest = new BigDecimal(d);
    for (int digits = 1; digits <= 17; digits++) {
      BigDecimal rounded = new BigDecimal(d).round(new MathContext(digits, RoundingMode.HALF_EVEN));
      if (rounded.doubleValue() == d) {
        shortest = rounded;
        break;
      }
    }
    shortest = shortest.stripTrailingZeros();
    int exponent = shortest.precision() - shortest.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = shortest.toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    String digits = shortest.unscaledValue().abs().toString();
    String mantissa = digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
    return (d < 0 ? "-" : "")
        + mantissa
        + String.format("e%s%02d", exponent < 0 ? "-" : "+", Math.abs(exponent));
  }
}
