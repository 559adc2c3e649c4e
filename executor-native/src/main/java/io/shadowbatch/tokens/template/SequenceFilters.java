package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** Filters that take a sequence as a whole; item by item ones are in {@link StreamFilters}. */
final class SequenceFilters {
  private SequenceFilters() {}

  static Map<String, Filter> all() {
    Map<String, Filter> map = new HashMap<>(StreamFilters.all());
    map.put("length", SequenceFilters::length);
    map.put("count", SequenceFilters::length);
    map.put("list", (run, v, a) -> Operators.toList(run, v));
    map.put("first", SequenceFilters::first);
    map.put("last", SequenceFilters::last);
    map.put("join", SequenceFilters::join);
    map.put("reverse", SequenceFilters::reverse);
    map.put("sort", SequenceFilters::sort);
    map.put("dictsort", SequenceFilters::dictsort);
    map.put("min", (run, v, a) -> extreme(run, v, a, "min"));
    map.put("max", (run, v, a) -> extreme(run, v, a, "max"));
    map.put("sum", SequenceFilters::sum);
    return map;
  }

  private static Object length(Run run, Object v, Args args) {
    args.bind(run, "length");
    if (v instanceof String s) {
      run.charge(s.length() / 16);
      return (long) PyText.length(s);
    } else if (v instanceof Markup m) {
      return (long) PyText.length(m.text());
    } else if (v instanceof Map<?, ?> map) {
      return (long) map.size();
    } else if (v instanceof Undefined) {
      return 0L;
    } else if (v instanceof LoopState loop) {
      return loop.attribute(run, "length");
    }
    List<Object> items = Operators.itemsOrNull(v);
    if (items == null) {
      throw run.fail("a " + Values.typeName(v) + " has no length");
    }
    return (long) items.size();
  }

  private static Object first(Run run, Object v, Args args) {
    args.bind(run, "first");
    Iterator<Object> it = Operators.iterate(run, v);
    return it.hasNext() ? it.next() : new Undefined("the first item of an empty sequence");
  }

  private static Object last(Run run, Object v, Args args) {
    args.bind(run, "last");
    if (v instanceof OneShot) {
      throw run.fail("last of a generator is not supported");
    }
    List<Object> items = Operators.toList(run, v);
    return items.isEmpty()
        ? new Undefined("the last item of an empty sequence")
        : items.get(items.size() - 1);
  }

  private static Object join(Run run, Object v, Args args) {
    Object[] a = args.bind(run, "join", "d", "attribute");
    String separator = a[0] == null ? "" : PyText.str(run, a[0]);
    StringBuilder out = new StringBuilder();
    String before = "";
    for (Iterator<Object> it = Operators.iterate(run, v); it.hasNext(); ) {
      Object item = it.next();
      Object shown = a[1] == null ? item : path(run, item, a[1]);
      out.append(before).append(PyText.str(run, shown));
      before = separator;
      run.checkChars(out.length());
      run.step();
    }
    return run.text(out.toString());
  }

  private static Object reverse(Run run, Object v, Args args) {
    args.bind(run, "reverse");
    if (v instanceof String s) {
      return run.text(new StringBuilder(s).reverse().toString());
    }
    if (v instanceof OneShot) {
      List<Object> items = Operators.toList(run, v);
      Collections.reverse(items);
      return items;
    }
    List<Object> items = Operators.toList(run, v);
    Collections.reverse(items);
    return new OneShot(items.iterator());
  }

  /** An item's part named by {@code "a.b.0"} or an index, as the attribute filters read it. */
  static Object path(Run run, Object item, Object attribute) {
    if (!(attribute instanceof String names)) {
      return Attributes.item(run, item, attribute);
    }
    Object found = item;
    for (String part : names.split("\\.", -1)) {
      boolean digits = !part.isEmpty() && part.chars().allMatch(c -> c >= '0' && c <= '9');
      if (digits && part.length() > 9) {
        throw run.fail("index " + run.shown(part) + " is out of range");
      }
      found = Attributes.item(run, found, digits ? (Object) Long.parseLong(part) : part);
    }
    return found;
  }

  /** Compares as Python does, letters without case unless asked. */
  static UnaryOperator<Object> key(Run run, Object attribute, Object caseSensitive) {
    boolean keepCase = caseSensitive != null && Operators.truth(caseSensitive);
    if (attribute instanceof String s && s.contains(",")) {
      throw run.fail("several attributes are not supported: " + run.shown(s));
    }
    return item -> {
      Object part = attribute == null ? item : path(run, item, attribute);
      return keepCase || !(part instanceof String s) ? part : s.toLowerCase(java.util.Locale.ROOT);
    };
  }

  private static void sort(Run run, List<Object> items, UnaryOperator<Object> key, Object reverse) {
    Comparator<Object> order = (x, y) -> Operators.order(run, key.apply(x), key.apply(y));
    items.sort(reverse != null && Operators.truth(reverse) ? order.reversed() : order);
  }

  private static Object sort(Run run, Object v, Args args) {
    Object[] a = args.bind(run, "sort", "reverse", "case_sensitive", "attribute");
    List<Object> items = Operators.toList(run, v);
    sort(run, items, key(run, present(a[2]), a[1]), a[0]);
    return items;
  }

  private static Object present(Object value) {
    return value == None.NONE ? null : value;
  }

  private static Object dictsort(Run run, Object v, Args args) {
    Object[] a = args.bind(run, "dictsort", "case_sensitive", "by", "reverse");
    Object by = a[1] == null ? "key" : a[1];
    if (!(v instanceof Map<?, ?> map) || !(by.equals("key") || by.equals("value"))) {
      throw run.fail("dictsort needs a dict and by 'key' or 'value', got " + Values.typeName(v));
    }
    List<Object> items = new ArrayList<>(DictMethods.items(map));
    sort(run, items, key(run, by.equals("key") ? 0L : 1L, a[0]), a[2]);
    return items;
  }

  private static Object extreme(Run run, Object v, Args args, String name) {
    Object[] a = args.bind(run, name, "case_sensitive", "attribute");
    UnaryOperator<Object> key = key(run, present(a[1]), a[0]);
    Object best = null;
    for (Object item : Operators.toList(run, v)) {
      int order = best == null ? 0 : Operators.order(run, key.apply(item), key.apply(best));
      if (best == null || (name.equals("min") ? order < 0 : order > 0)) {
        best = item;
      }
    }
    return best == null ? new Undefined("the " + name + " of an empty sequence") : best;
  }

  private static Object sum(Run run, Object v, Args args) {
    Object[] a = args.bind(run, "sum", "attribute", "start");
    Object total = a[1] == null ? (Object) 0L : a[1];
    if (total instanceof String) {
      throw run.fail("sum of texts is not supported");
    }
    Object attribute = present(a[0]);
    for (Object item : Operators.toList(run, v)) {
      Object part = attribute == null ? item : path(run, item, attribute);
      total = Arithmetic.apply(run, "+", total, part);
    }
    return total;
  }
}
