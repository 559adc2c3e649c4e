package io.shadowbatch.tokens.template;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.function.Predicate;

/** The tests that {@code is}, {@code select} and {@code reject} know. */
final class Tests {
  private static final Map<String, Test> ALL = all();

  private Tests() {}

  /** The test of that name, or null. */
  static Test named(String name) {
    return ALL.get(name);
  }

  private static Map<String, Test> all() {
    Map<String, Test> map = new HashMap<>();
    put(map, "defined", v -> !(v instanceof Undefined));
    put(map, "undefined", v -> v instanceof Undefined);
    put(map, "none", v -> v == None.NONE);
    put(map, "string", v -> v instanceof String || v instanceof Markup);
    put(map, "number", Operators::isNumber);
    put(map, "integer", v -> v instanceof Long);
    put(map, "float", v -> v instanceof Double);
    put(map, "boolean", v -> v instanceof Boolean);
    put(map, "true", v -> v.equals(true));
    put(map, "false", v -> v.equals(false));
    put(map, "mapping", v -> v instanceof Map);
    put(map, "iterable", Tests::isIterable);
    put(map, "sequence", Tests::isSequence);
    put(map, "callable", v -> v instanceof Callable || v instanceof Undefined);
    map.put("upper", (run, v, a) -> (Boolean) StringMethods.isCase(run, text(run, v), a, true));
    map.put("lower", (run, v, a) -> (Boolean) StringMethods.isCase(run, text(run, v), a, false));
    map.put("odd", (run, v, a) -> remainder(run, v, a.bind(run, "odd"), 2) == 1);
    map.put("even", (run, v, a) -> remainder(run, v, a.bind(run, "even"), 2) == 0);
    map.put(
        "divisibleby",
        (run, v, a) -> {
          Object by = a.bind(run, "divisibleby", "num!")[0];
          return Operators.same(run, Arithmetic.apply(run, "%", v, by), 0L);
        });
    map.put("in", (run, v, a) -> Operators.contains(run, a.bind(run, "in", "seq!")[0], v));
    for (String name : List.of("eq", "equalto", "==")) {
      map.put(name, (run, v, a) -> Operators.same(run, v, a.bind(run, name, "b!")[0]));
    }
    for (String name : List.of("ne", "!=")) {
      map.put(name, (run, v, a) -> !Operators.same(run, v, a.bind(run, name, "b!")[0]));
    }
    order(map, c -> c < 0, "lt", "lessthan", "<");
    order(map, c -> c > 0, "gt", "greaterthan", ">");
    order(map, c -> c <= 0, "le", "<=");
    order(map, c -> c >= 0, "ge", ">=");
    map.put("sameas", Tests::sameAs);
    return map;
  }

  private static void put(Map<String, Test> map, String name, Predicate<Object> test) {
    map.put(
        name,
        (run, value, args) -> {
          args.bind(run, name);
          return test.test(value);
        });
  }

  private static void order(Map<String, Test> map, IntPredicate wanted, String... names) {
    for (String name : names) {
      map.put(
          name, (run, v, a) -> wanted.test(Operators.order(run, v, a.bind(run, name, "b!")[0])));
    }
  }

  private static String text(Run run, Object v) {
    return Filters.plain(run, v);
  }

  private static long remainder(Run run, Object v, Object[] none, long by) {
    Object rest = Arithmetic.apply(run, "%", v, by);
    return rest instanceof Long n
        ? n
        : Operators.same(run, rest, 0L) ? 0 : rest.equals(1.0) ? 1 : 2;
  }

  private static boolean isIterable(Object v) {
    return isSequence(v) || v instanceof View || v instanceof OneShot || v instanceof LoopState;
  }

  private static boolean isSequence(Object v) {
    return v instanceof String
        || v instanceof Markup
        || v instanceof List
        || v instanceof Map
        || v instanceof Tuple
        || v instanceof Range
        || v instanceof Undefined;
  }

  private static boolean sameAs(Run run, Object v, Args args) {
    Object other = args.bind(run, "sameas", "other!")[0];
    if (other instanceof Boolean || other == None.NONE) {
      return v.equals(other);
    }
    throw run.fail("sameas is supported for None, True and False only");
  }
}
