package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** {@code json.dumps}: key order kept, no HTML escaping, non-ASCII written as it is by default. */
final class PyJson {
  private final Run run;
  private final StringBuilder out = new StringBuilder();
  private final boolean ascii;
  private final String indent; // or null for one line
  private final boolean sortKeys;
  private final String itemSeparator;
  private final String keySeparator;

  private PyJson(Run run, boolean ascii, String indent, boolean sortKeys, Object separators) {
    this.run = run;
    this.ascii = ascii;
    this.indent = indent;
    this.sortKeys = sortKeys;
    List<Object> given = separators == null ? null : Operators.itemsOrNull(separators);
    boolean pair = given != null && given.size() == 2;
    if (separators != null && (!pair || !given.stream().allMatch(String.class::isInstance))) {
      throw run.fail("tojson separators must be two strings");
    }
    itemSeparator = pair ? (String) given.get(0) : indent == null ? ", " : ",";
    keySeparator = pair ? (String) given.get(1) : ": ";
  }

  /** The {@code tojson} filter. */
  static Object filter(Run run, Object value, Args args) {
    Object[] a = args.bind(run, "tojson", "ensure_ascii", "indent", "separators", "sort_keys");
    boolean ascii = a[0] != null && Operators.truth(a[0]);
    boolean sort = a[3] != null && Operators.truth(a[3]);
    Object separators = a[2] == None.NONE ? null : a[2];
    PyJson json = new PyJson(run, ascii, indent(run, a[1]), sort, separators);
    json.write(value, "\n");
    return run.text(json.out.toString());
  }

  private static String indent(Run run, Object value) {
    if (value == null || value == None.NONE) {
      return null;
    } else if (value instanceof String s) {
      return s;
    } else if (value instanceof Long n && n <= 64) {
      return " ".repeat((int) Math.max(0, n));
    }
    throw run.fail("tojson indent must be a text or an integer up to 64");
  }

  private void write(Object v, String newline) {
    run.step();
    run.checkChars(out.length());
    if (v instanceof String s) {
      quote(s);
    } else if (v instanceof Boolean || v == None.NONE || Operators.isNumber(v)) {
      out.append(atom(v));
    } else if (v instanceof List || v instanceof Tuple) {
      writeItems(Operators.itemsOrNull(v), newline);
    } else if (v instanceof Map<?, ?> map) {
      writeEntries(map, newline);
    } else {
      throw run.fail("tojson of a " + Values.typeName(v) + " is not supported");
    }
  }

  private static String atom(Object v) {
    if (v instanceof Boolean b) {
      return b ? "true" : "false";
    } else if (v == None.NONE) {
      return "null";
    } else if (v instanceof Double d && (d.isNaN() || d.isInfinite())) {
      return d.isNaN() ? "NaN" : d > 0 ? "Infinity" : "-Infinity";
    }
    return v instanceof Double d ? PyText.floatRepr(d) : v.toString();
  }

  private void writeItems(List<Object> items, String newline) {
    if (items.isEmpty()) {
      out.append("[]");
      return;
    }
    run.enter();
    String inner = indent == null ? "" : newline + indent;
    String separator = "";
    out.append('[');
    for (Object item : items) {
      out.append(separator).append(inner);
      separator = itemSeparator;
      write(item, inner);
    }
    out.append(indent == null ? "" : newline).append(']');
    run.leave();
  }

  private void writeEntries(Map<?, ?> map, String newline) {
    if (map.isEmpty()) {
      out.append("{}");
      return;
    }
    run.enter();
    List<Object> keys = new ArrayList<>(map.keySet());
    if (sortKeys) {
      keys.sort((a, b) -> Operators.order(run, a, b));
    }
    String inner = indent == null ? "" : newline + indent;
    String separator = "";
    out.append('{');
    for (Object key : keys) {
      out.append(separator).append(inner);
      separator = itemSeparator;
      quote(key instanceof String s ? s : atom(key));
      out.append(keySeparator);
      write(map.get(key), inner);
    }
    out.append(indent == null ? "" : newline).append('}');
    run.leave();
  }

  private void quote(String s) {
    out.append('"');
    for (int i = 0; i < s.length(); i++) {
      char c = s.charAt(i);
      int plain = "\"\\\n\r\t\f\b".indexOf(c);
      if (plain >= 0) {
        out.append('\\').append("\"\\nrtfb".charAt(plain));
      } else if (c < 0x20 || (ascii && c > 0x7E)) {
        out.append(c == 0x7F ? "\u007f" : String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}
