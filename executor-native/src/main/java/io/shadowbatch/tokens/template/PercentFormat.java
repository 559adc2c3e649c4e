package io.shadowbatch.tokens.template;

import java.util.Iterator;
import java.util.List;

/**
 * {@code '...' % values} with {@code %s}, {@code %d} and {@code %%}; other conversions are refused.
 */
final class PercentFormat {
  private PercentFormat() {}

  static String apply(Run run, String format, List<Object> values) {
    StringBuilder out = new StringBuilder();
    Iterator<Object> it = values.iterator();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%') {
        out.append(c);
        continue;
      }
      char kind = ++i < format.length() ? format.charAt(i) : ' ';
      if (kind == '%') {
        out.append('%');
      } else if (kind != 's' && kind != 'd') {
        throw run.fail(
            "format " + run.shown("%" + kind) + " is not supported, expected %s, %d or %%");
      } else if (!it.hasNext()) {
        throw run.fail("format needs more than " + values.size() + " values");
      } else {
        Object value = it.next();
        if (kind == 'd' && !(value instanceof Long)) {
          throw run.fail("format %d of a " + Values.typeName(value) + " is not supported");
        }
        out.append(PyText.str(run, value));
        run.checkChars(out.length());
      }
    }
    if (it.hasNext()) {
      throw run.fail("format has fewer places than its " + values.size() + " values");
    }
    return run.text(out.toString());
  }
}
