package io.shadowbatch.tokens.template;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** Filters on single values; those on sequences are in {@link SequenceFilters}. */
final class Filters {
  private static final Pattern INTEGER = Pattern.compile("[+-]?[0-9]++(_[0-9]++)*+");
  private static final Pattern FLOAT =
      Pattern.compile("[+-]?([0-9]++\\.?+[0-9]*+|\\.[0-9]++)([eE][+-]?[0-9]++)?");

  private static final Map<String, Filter> ALL = all();

  private Filters() {}

  private static Map<String, Filter> all() {
    Map<String, Filter> map = new HashMap<>(SequenceFilters.all());
    map.put("trim", Filters::trim);
    map.put("upper", (run, v, a) -> method(run, v, "upper", none(run, a, "upper")));
    map.put("lower", (run, v, a) -> method(run, v, "lower", none(run, a, "lower")));
    map.put("capitalize", (run, v, a) -> method(run, v, "capitalize", none(run, a, "capitalize")));
    map.put("title", Filters::title);
    map.put("replace", Filters::replace);
    map.put("tojson", PyJson::filter);
    map.put("string", (run, v, a) -> v instanceof Markup ? v : plain(run, v));
    map.put("safe", (run, v, a) -> new Markup(PyText.str(run, v)));
    map.put("e", Filters::escape);
    map.put("escape", Filters::escape);
    map.put("default", Filters::defaulted);
    map.put("d", Filters::defaulted);
    map.put("int", Filters::toInt);
    map.put("float", Filters::toFloat);
    map.put("abs", Filters::abs);
    map.put("round", Filters::round);
    map.put("indent", Filters::indent);
    map.put("format", (run, v, a) -> format(run, v, a));
    return map;
  }

  /** The filter of that name, or null. */
  static Filter named(String name) {
    return ALL.get(name);
  }

  /** Text of a value; text marked safe is refused, because Jinja would go on escaping. */
  static String plain(Run run, Object value) {
    if (value instanceof Markup) {
      throw run.fail("changing text marked safe is not supported");
    }
    return PyText.str(run, value);
  }

  private static Args none(Run run, Args args, String name) {
    args.bind(run, name);
    return Args.NONE;
  }

  private static Object method(Run run, Object value, String name, Args args) {
    return StringMethods.bound(plain(run, value), name).call(run, args);
  }

  private static Object trim(Run run, Object value, Args args) {
    Object chars = args.bind(run, "trim", "chars")[0];
    if (value instanceof Markup m && chars == null) {
      return new Markup(PyText.strip(m.text(), null, true, true));
    }
    return method(
        run, value, "strip", chars == null ? Args.NONE : new Args(List.of(chars), Map.of()));
  }

  private static Object title(Run run, Object value, Args args) {
    none(run, args, "title");
    String s = plain(run, value);
    StringBuilder out = new StringBuilder();
    boolean first = true;
    for (int i = 0; i < s.length(); i += Character.charCount(s.codePointAt(i))) {
      int c = s.codePointAt(i);
      String one = Character.toString(c);
      boolean between = PyText.isSpace(c) || "-({[<".indexOf(c) >= 0;
      out.append(first ? one.toUpperCase(Locale.ROOT) : one.toLowerCase(Locale.ROOT));
      first = between;
    }
    return run.text(out.toString());
  }

  private static Object replace(Run run, Object value, Args args) {
    Object[] a = args.bind(run, "replace", "old!", "new!", "count");
    long most = -1;
    if (a[2] != null && a[2] != None.NONE) {
      if (!(a[2] instanceof Long n)) {
        throw run.fail("replace count must be an integer, got " + Values.typeName(a[2]));
      }
      most = n;
    }
    return StringMethods.replace(
        run, PyText.str(run, value), PyText.str(run, a[0]), PyText.str(run, a[1]), most);
  }

  private static Object escape(Run run, Object value, Args args) {
    none(run, args, "escape");
    return value instanceof Markup ? value : escaped(run, PyText.str(run, value));
  }

  /** Text with the five characters of HTML written as entities. */
  static Markup escaped(Run run, String s) {
    return new Markup(
        run.text(
            s.replace("&", "&amp;")
                .replace(">", "&gt;")
                .replace("<", "&lt;")
                .replace("'", "&#39;")
                .replace("\"", "&#34;")));
  }

  private static Object defaulted(Run run, Object value, Args args) {
    Object[] a = args.bind(run, "default", "default_value", "boolean");
    boolean falsy = a[1] != null && Operators.truth(a[1]);
    boolean absent = value instanceof Undefined || (falsy && !Operators.truth(value));
    return !absent ? value : a[0] == null ? "" : a[0];
  }

  private static Object toInt(Run run, Object value, Args args) {
    Object[] a = args.bind(run, "int", "default", "base");
    if (a[1] != null && !a[1].equals(10L)) {
      throw run.fail("int with a base other than 10 is not supported");
    }
    Object fallback = a[0] == null ? (Object) 0L : a[0];
    if (value instanceof Undefined u) {
      throw run.fail(u.what() + " is undefined, at 'int'");
    } else if (value instanceof Long || value instanceof Boolean) {
      return Operators.toLong(value);
    } else if (value instanceof String s) {
      String digits = PyText.strip(s, null, true, true);
      if (INTEGER.matcher(digits).matches()) {
        try {
          return Long.parseLong(digits.replace("_", ""));
        } catch (NumberFormatException e) {
          throw run.fail("integer out of 64 bits: " + digits.length() + " characters");
        }
      }
      Double d = parseFloat(run, digits);
      return d == null ? fallback : truncate(run, d, fallback);
    } else if (value instanceof Double d) {
      return truncate(run, d, fallback);
    }
    return fallback;
  }

  private static Object truncate(Run run, double d, Object fallback) {
    if (Double.isNaN(d) || Double.isInfinite(d)) {
      return fallback;
    }
    if (Math.abs(d) >= 0x1p63) {
      throw run.fail("integer out of 64 bits, at 'int'");
    }
    return (long) d;
  }

  private static Double parseFloat(Run run, String s) {
    if (FLOAT.matcher(s).matches()) {
      return Double.valueOf(s);
    }
    String word = s.toLowerCase(Locale.ROOT).replaceFirst("^[+-]", "");
    if (word.equals("inf") || word.equals("infinity") || word.equals("nan") || s.contains("_")) {
      throw run.fail("the number " + run.shown(s) + " is not supported");
    }
    return null;
  }

  private static Object toFloat(Run run, Object value, Args args) {
    Object fallback = args.bind(run, "float", "default")[0];
    if (value instanceof Undefined u) {
      throw run.fail(u.what() + " is undefined, at 'float'");
    } else if (Operators.isNumber(value)) {
      return Operators.toDouble(value);
    }
    Double d =
        value instanceof String s ? parseFloat(run, PyText.strip(s, null, true, true)) : null;
    return d != null ? d : fallback == null ? (Object) 0.0 : fallback;
  }

  private static Object abs(Run run, Object value, Args args) {
    none(run, args, "abs");
    if (value instanceof Double d) {
      return Math.abs(d);
    } else if (Operators.isNumber(value) && Operators.toLong(value) != Long.MIN_VALUE) {
      return Math.abs(Operators.toLong(value));
    }
    throw run.fail("abs of a " + Values.typeName(value) + " is not supported");
  }

  private static Object round(Run run, Object value, Args args) {
    Object[] a = args.bind(run, "round", "precision", "method");
    Object precision = a[0] == null ? (Object) 0L : a[0];
    Object method = a[1] == null ? "common" : a[1];
    boolean known = method.equals("common") || method.equals("ceil") || method.equals("floor");
    if (!Operators.isNumber(value) || !known || !(precision instanceof Long places)) {
      throw run.fail("round of a " + Values.typeName(value) + " with these arguments failed");
    }
    if (places < 0 || places > 22) {
      throw run.fail("round precision must be in [0, 22], got " + places);
    }
    double d = Operators.toDouble(value);
    if (!method.equals("common")) {
      double scaled = d * Math.pow(10, places);
      double whole = method.equals("ceil") ? Math.ceil(scaled) : Math.floor(scaled);
      return (whole == 0 ? 0.0 : whole) / Math.pow(10, places);
    }
    if (!(value instanceof Double)) {
      return Operators.toLong(value);
    }
    if (Double.isNaN(d) || Double.isInfinite(d)) {
      return d;
    }
    double rounded =
        new BigDecimal(d).setScale(places.intValue(), RoundingMode.HALF_EVEN).doubleValue();
    return Math.copySign(rounded, d);
  }

  private static Object indent(Run run, Object value, Args args) {
    Object[] a = args.bind(run, "indent", "width", "first", "blank");
    String pad;
    if (a[0] instanceof String s) {
      pad = s;
    } else if (a[0] == null || (a[0] instanceof Long n && n <= 1000)) {
      pad = " ".repeat((int) Math.max(0, a[0] == null ? 4 : (Long) a[0]));
    } else {
      throw run.fail("indent width must be a text or an integer up to 1000");
    }
    if (!(value instanceof String)) {
      throw run.fail("indent needs a str, got " + Values.typeName(value));
    }
    boolean blank = a[2] != null && Operators.truth(a[2]);
    List<Object> lines = StringMethods.lines(plain(run, value) + "\n");
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < lines.size(); i++) {
      String line = (String) lines.get(i);
      if (i > 0) {
        out.append('\n').append(blank || !line.isEmpty() ? pad : "");
      }
      run.checkChars(out.append(line).length());
    }
    boolean first = a[1] != null && Operators.truth(a[1]);
    return run.text(first ? pad + out : out.toString());
  }

  private static Object format(Run run, Object value, Args args) {
    if (!args.named().isEmpty()) {
      throw run.fail("format with names is not supported");
    }
    return PercentFormat.apply(run, plain(run, value), args.positional());
  }
}
