package io.shadowbatch.tokens.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The closed set of value types: String, Long, Double, Boolean, {@link None}, List, Map, and the
 * records named here. Nothing else ever enters an evaluation.
 */
final class Values {
  private Values() {}

  /** Name of the type as an error shows it. */
  static String typeName(Object value) {
    if (value instanceof String) {
      return "str";
    } else if (value instanceof Long) {
      return "int";
    } else if (value instanceof Double) {
      return "float";
    } else if (value instanceof Boolean) {
      return "bool";
    } else if (value == None.NONE) {
      return "None";
    } else if (value instanceof Map) {
      return "dict";
    } else if (value instanceof List) {
      return "list";
    }
    return value.getClass().getSimpleName().toLowerCase(java.util.Locale.ROOT);
  }

  /**
   * Copies plain Java data (maps, lists, strings, numbers, booleans, null) into template values.
   */
  static Object of(Object plain, int depthLeft) {
    if (depthLeft == 0) {
      throw new TemplateException(0, "the data is nested too deeply");
    }
    if (plain == null) {
      return None.NONE;
    } else if (plain instanceof String || plain instanceof Boolean || plain instanceof Double) {
      return plain;
    } else if (plain instanceof Long
        || plain instanceof Integer
        || plain instanceof Short
        || plain instanceof Byte) {
      return ((Number) plain).longValue();
    } else if (plain instanceof Float f) {
      return (double) f;
    } else if (plain instanceof BigInteger big && big.bitLength() < 64) {
      return big.longValue();
    } else if (plain instanceof List<?> list) {
      List<Object> out = new ArrayList<>(list.size());
      for (Object item : list) {
        out.add(of(item, depthLeft - 1));
      }
      return out;
    } else if (plain instanceof Map<?, ?> map) {
      Map<Object, Object> out = new LinkedHashMap<>();
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        if (!(entry.getKey() instanceof String)) {
          throw new TemplateException(0, "a map key must be a string");
        }
        out.put(entry.getKey(), of(entry.getValue(), depthLeft - 1));
      }
      return out;
    }
    throw new TemplateException(
        0, "expected maps, lists, strings, numbers or booleans, got " + plain.getClass().getName());
  }
}

/** A name or item that is not there: empty text, false, no items; anything else fails. */
record Undefined(String what) {
  @Override
  public boolean equals(Object other) {
    return other instanceof Undefined;
  }

  @Override
  public int hashCode() {
    return 1;
  }
}

/** An immutable sequence written with parentheses. */
record Tuple(List<Object> items) {}

/** Text marked safe or escaped: it escapes what is added to it; methods on it are refused. */
record Markup(String text) {}

/** The numbers of {@code range}; {@code text} is its Python form, or null when not known. */
record Range(List<Object> items, String text) {}

/** What {@code dict.keys()}, {@code values()} and {@code items()} give. */
record View(List<Object> items) {}

/** A generator: its items can be read once. Always true, without a length. */
record OneShot(Iterator<Object> iterator) {}

/** The only changeable value: {@code namespace(...)}. */
record Namespace(Map<String, Object> fields) {
  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}

/** Something that a template can call. */
@FunctionalInterface
interface Callable {
  Object call(Run run, Args args);
}
