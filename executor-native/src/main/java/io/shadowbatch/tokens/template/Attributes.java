package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** {@code a.b}, {@code a[b]} and {@code a[b:c:d]}, in Jinja's order of looking. */
final class Attributes {
  /**
   * Python methods and attributes that exist but are not offered: they must not read as undefined.
   */
  private static final Set<String> LIST_REFUSED =
      Set.of("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort", "copy");

  private static final Set<String> DICT_REFUSED =
      Set.of("clear", "fromkeys", "pop", "popitem", "setdefault", "update");

  private static final Set<String> NUMBER_REFUSED =
      Set.of(
          "real",
          "imag",
          "numerator",
          "denominator",
          "conjugate",
          "bit_length",
          "bit_count",
          "to_bytes",
          "from_bytes",
          "as_integer_ratio",
          "is_integer",
          "hex",
          "fromhex");

  private Attributes() {}

  /** {@code object.name}: a method or attribute first, then an item. */
  static Object attribute(Run run, Object object, String name) {
    Object found = methodOrNull(run, object, name);
    if (found != null) {
      return found;
    }
    if (object instanceof Map<?, ?> map && map.containsKey(name)) {
      return map.get(name);
    }
    return new Undefined("attribute " + run.shown(name) + " of a " + Values.typeName(object));
  }

  private static Object methodOrNull(Run run, Object object, String name) {
    run.step();
    if (object instanceof Undefined u) {
      throw run.fail(u.what() + " is undefined, at " + run.shown("." + name));
    }
    boolean refused = name.startsWith("__");
    Object found = null;
    if (object instanceof String s) {
      refused |= StringMethods.REFUSED.contains(name);
      found = StringMethods.bound(s, name);
    } else if (object instanceof Map<?, ?> map) {
      refused |= DICT_REFUSED.contains(name);
      found = DictMethods.bound(map, name);
    } else if (object instanceof Namespace ns) {
      found = ns.fields().get(name);
    } else if (object instanceof LoopState loop) {
      found = loop.attribute(run, name);
    } else if (object instanceof List<?> || object instanceof Tuple) {
      refused |= object instanceof List && LIST_REFUSED.contains(name);
      found = ListMethods.bound(Operators.itemsOrNull(object), name);
    } else if (Operators.isNumber(object)) {
      refused |= NUMBER_REFUSED.contains(name);
    } else if (object instanceof Range) {
      refused |= Set.of("start", "stop", "step", "count", "index").contains(name);
    } else if (object != None.NONE) {
      refused = true;
    }
    if (refused) {
      throw run.fail(
          "attribute "
              + run.shown(name)
              + " of a "
              + Values.typeName(object)
              + " is not supported");
    }
    return found;
  }

  /** {@code object[key]}: an item first, then a method or attribute. */
  static Object item(Run run, Object object, Object key) {
    run.step();
    if (object instanceof Undefined u) {
      throw run.fail(u.what() + " is undefined, at '[...]'");
    }
    if (object instanceof Map<?, ?> map && !isNeverKey(key)) {
      Object found = map.get(key(run, key));
      if (found != null) {
        return found;
      }
    }
    boolean index = key instanceof Long || key instanceof Boolean;
    if (index && object instanceof String s) {
      int length = PyText.length(s);
      long at = Operators.toLong(key);
      at = at < 0 ? at + length : at;
      run.charge(length / 16);
      if (at >= 0 && at < length) {
        int from = s.offsetByCodePoints(0, (int) at);
        return Character.toString(s.codePointAt(from));
      }
    } else if (index && Operators.itemsOrNull(object) != null && !(object instanceof View)) {
      List<Object> items = Operators.itemsOrNull(object);
      long at = Operators.toLong(key);
      at = at < 0 ? at + items.size() : at;
      if (at >= 0 && at < items.size()) {
        return items.get((int) at);
      }
    } else if (object instanceof Markup || object instanceof Namespace) {
      throw run.fail("items of a " + Values.typeName(object) + " are not supported");
    }
    if (key instanceof String name) {
      Object method = methodOrNull(run, object, name);
      if (method != null) {
        return method;
      }
    }
    return new Undefined("item " + shown(run, key) + " of a " + Values.typeName(object));
  }

  private static String shown(Run run, Object key) {
    return key instanceof String s ? run.shown(s) : Values.typeName(key);
  }

  private static boolean isNeverKey(Object key) {
    return key instanceof List || key instanceof Map || key instanceof Undefined;
  }

  /** A value as the key of a dict; only strings, integers and None are supported. */
  static Object key(Run run, Object key) {
    if (key instanceof String || key instanceof Long || key == None.NONE) {
      return key;
    }
    throw run.fail("a dict key of type " + Values.typeName(key) + " is not supported");
  }

  /** {@code object[from:to:step]}; null parts are left out. */
  static Object slice(Run run, Object object, Object from, Object to, Object step) {
    if (object instanceof Undefined u) {
      throw run.fail(u.what() + " is undefined, at '[:]'");
    }
    boolean text = object instanceof String;
    boolean range = object instanceof Range;
    if (!text && !range && !(object instanceof List) && !(object instanceof Tuple)) {
      throw run.fail("a slice of a " + Values.typeName(object) + " is not supported");
    }
    List<Object> items =
        text ? Operators.chars(run, (String) object) : Operators.itemsOrNull(object);
    List<Object> out = sliced(run, items, from, to, step);
    if (text) {
      StringBuilder joined = new StringBuilder();
      out.forEach(joined::append);
      return run.text(joined.toString());
    }
    return range ? new Range(out, null) : object instanceof Tuple ? new Tuple(out) : out;
  }

  private static List<Object> sliced(
      Run run, List<Object> items, Object from, Object to, Object stepOrNull) {
    long step = isAbsent(stepOrNull) ? 1 : index(run, stepOrNull);
    if (step == 0) {
      throw run.fail("slice step cannot be zero");
    }
    int size = items.size();
    long low = step < 0 ? -1 : 0;
    long high = step < 0 ? size - 1 : size;
    long start = isAbsent(from) ? (step < 0 ? high : low) : clip(index(run, from), size, low, high);
    long stop = isAbsent(to) ? (step < 0 ? low : high) : clip(index(run, to), size, low, high);
    List<Object> out = new ArrayList<>();
    run.charge(size / 16);
    for (long i = start; step < 0 ? i > stop : i < stop; i = next(i, step, size)) {
      out.add(items.get((int) i));
    }
    return out;
  }

  private static long next(long i, long step, int size) {
    return Math.abs(step) > size || step == Long.MIN_VALUE ? (step < 0 ? -1 : size) : i + step;
  }

  private static boolean isAbsent(Object part) {
    return part == null || part == None.NONE;
  }

  private static long index(Run run, Object part) {
    if (part instanceof Long || part instanceof Boolean) {
      return Operators.toLong(part);
    }
    throw run.fail("a slice needs integers, got " + Values.typeName(part));
  }

  private static long clip(long at, int size, long low, long high) {
    return Math.max(low, Math.min(high, at < 0 ? at + size : at));
  }
}
