package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** Python's operators on template values. */
final class Operators {
  private Operators() {}

  static boolean truth(Object v) {
    if (v instanceof Boolean b) {
      return b;
    } else if (v instanceof String s) {
      return !s.isEmpty();
    } else if (v instanceof Long n) {
      return n != 0;
    } else if (v instanceof Double d) {
      return d != 0;
    } else if (v instanceof Map<?, ?> map) {
      return !map.isEmpty();
    } else if (v instanceof Markup m) {
      return !m.text().isEmpty();
    }
    List<Object> items = itemsOrNull(v);
    if (items != null) {
      return !items.isEmpty();
    }
    return v != None.NONE && !(v instanceof Undefined);
  }

  /** Items of a list, tuple, range or view; null for anything else. */
  @SuppressWarnings("unchecked")
  static List<Object> itemsOrNull(Object v) {
    if (v instanceof List<?> list) {
      return (List<Object>) list;
    } else if (v instanceof Tuple t) {
      return t.items();
    } else if (v instanceof Range r) {
      return r.items();
    } else if (v instanceof View view) {
      return view.items();
    }
    return null;
  }

  static Iterator<Object> iterate(Run run, Object v) {
    List<Object> items = itemsOrNull(v);
    if (items != null) {
      return items.iterator();
    } else if (v instanceof OneShot one) {
      return one.iterator();
    } else if (v instanceof Undefined) {
      return Collections.emptyIterator();
    } else if (v instanceof Map<?, ?> map) {
      return new ArrayList<Object>(map.keySet()).iterator();
    } else if (v instanceof String s) {
      return chars(run, s).iterator();
    }
    throw run.fail("a " + Values.typeName(v) + " cannot be iterated");
  }

  static List<Object> chars(Run run, String s) {
    run.checkItems(s.length());
    List<Object> out = new ArrayList<>(s.length());
    s.codePoints().forEach(c -> out.add(Character.toString(c)));
    return out;
  }

  static List<Object> toList(Run run, Object v) {
    List<Object> out = new ArrayList<>();
    for (Iterator<Object> it = iterate(run, v); it.hasNext(); ) {
      out.add(it.next());
      run.step();
    }
    return run.list(out);
  }

  static boolean same(Run run, Object a, Object b) {
    run.step();
    if (a == b) {
      return !(a instanceof Double d) || !d.isNaN();
    } else if (isNumber(a) && isNumber(b)) {
      return a instanceof Double || b instanceof Double
          ? toDouble(a) == toDouble(b)
          : toLong(a) == toLong(b);
    } else if (a instanceof Markup m) {
      return same(run, m.text(), b);
    } else if (b instanceof Markup m) {
      return same(run, a, m.text());
    } else if (a instanceof List<?> x && b instanceof List<?> y) {
      return sameItems(run, x, y);
    } else if (a instanceof Tuple x && b instanceof Tuple y) {
      return sameItems(run, x.items(), y.items());
    } else if (a instanceof Map<?, ?> x && b instanceof Map<?, ?> y) {
      return sameEntries(run, x, y);
    } else if (a instanceof String || a instanceof Undefined) {
      return a.equals(b);
    } else if (a instanceof Range x && b instanceof Range y) {
      return sameItems(run, x.items(), y.items());
    } else if (a instanceof View && b instanceof View) {
      throw run.fail("comparing views of a dict is not supported");
    }
    return false;
  }

  private static boolean sameItems(Run run, List<?> x, List<?> y) {
    if (x.size() != y.size()) {
      return false;
    }
    run.enter();
    boolean same = true;
    for (int i = 0; same && i < x.size(); i++) {
      same = same(run, x.get(i), y.get(i));
    }
    run.leave();
    return same;
  }

  private static boolean sameEntries(Run run, Map<?, ?> x, Map<?, ?> y) {
    if (!x.keySet().equals(y.keySet())) {
      return false;
    }
    run.enter();
    boolean same = true;
    for (Map.Entry<?, ?> entry : x.entrySet()) {
      same = same && same(run, entry.getValue(), y.get(entry.getKey()));
    }
    run.leave();
    return same;
  }

  static boolean isNumber(Object v) {
    return v instanceof Long || v instanceof Double || v instanceof Boolean;
  }

  static double toDouble(Object v) {
    return v instanceof Double d ? d : (double) toLong(v);
  }

  static long toLong(Object v) {
    return v instanceof Boolean b ? (b ? 1 : 0) : (Long) v;
  }

  static int order(Run run, Object a, Object b) {
    run.step();
    if (isNumber(a) && isNumber(b)) {
      if (a instanceof Double || b instanceof Double) {
        double x = toDouble(a);
        double y = toDouble(b);
        if (Double.isNaN(x) || Double.isNaN(y)) {
          throw run.fail("ordering nan is not supported");
        }
        return x < y ? -1 : x > y ? 1 : 0;
      }
      return Long.compare(toLong(a), toLong(b));
    } else if (a instanceof String x && b instanceof String y) {
      return compareText(x, y);
    }
    boolean lists = a instanceof List && b instanceof List;
    if (lists || (a instanceof Tuple && b instanceof Tuple)) {
      List<Object> x = itemsOrNull(a);
      List<Object> y = itemsOrNull(b);
      for (int i = 0; i < Math.min(x.size(), y.size()); i++) {
        if (!same(run, x.get(i), y.get(i))) {
          return order(run, x.get(i), y.get(i));
        }
      }
      return Integer.compare(x.size(), y.size());
    }
    throw run.fail("cannot order " + Values.typeName(a) + " and " + Values.typeName(b));
  }

  /** By code point, as Python orders strings. */
  private static int compareText(String x, String y) {
    int i = 0;
    while (i < x.length() && i < y.length() && x.charAt(i) == y.charAt(i)) {
      i++;
    }
    if (i == x.length() || i == y.length()) {
      return Integer.compare(x.length(), y.length());
    }
    boolean inPair = i > 0 && Character.isHighSurrogate(x.charAt(i - 1));
    int at = inPair ? i - 1 : i;
    return Integer.compare(x.codePointAt(at), y.codePointAt(at));
  }

  static boolean contains(Run run, Object container, Object item) {
    if (container instanceof String s) {
      if (item instanceof String part) {
        run.charge(s.length() / 16);
        return s.contains(part);
      }
      throw run.fail("'in' of a str needs a str, got " + Values.typeName(item));
    } else if (container instanceof Map<?, ?> map) {
      return !(item instanceof Undefined) && map.containsKey(Attributes.key(run, item));
    } else if (container instanceof Markup) {
      throw run.fail("'in' of text marked safe is not supported");
    }
    for (Iterator<Object> it = iterate(run, container); it.hasNext(); ) {
      if (same(run, it.next(), item)) {
        return true;
      }
    }
    return false;
  }
}
