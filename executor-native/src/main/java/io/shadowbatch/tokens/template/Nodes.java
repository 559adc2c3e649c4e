package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Makes the nodes that have values. */
final class Nodes {
  private Nodes() {}

  /** One comparison of a chain. */
  record Comparison(String operator, Expr right) {}

  /** Arguments as written. */
  record Call(List<Expr> positional, Map<String, Expr> named) {
    static final Call EMPTY = new Call(List.of(), Map.of());

    Args eval(Run run) {
      List<Object> values = new ArrayList<>(positional.size());
      for (Expr e : positional) {
        values.add(e.eval(run));
      }
      Map<String, Object> names = new LinkedHashMap<>();
      named.forEach((name, e) -> names.put(name, e.eval(run)));
      return new Args(values, names);
    }
  }

  /** Counts the node and says where it is. */
  static Expr at(int line, Expr inner) {
    return run -> {
      run.line = line;
      run.step();
      run.enter();
      Object value = inner.eval(run);
      run.leave();
      return value;
    };
  }

  static Expr constant(Object value) {
    return run -> value;
  }

  static Expr list(List<Expr> items) {
    return run -> run.list(values(items, run));
  }

  static Expr tuple(List<Expr> items) {
    return run -> new Tuple(run.list(values(items, run)));
  }

  private static List<Object> values(List<Expr> items, Run run) {
    List<Object> out = new ArrayList<>(items.size());
    for (Expr item : items) {
      out.add(item.eval(run));
    }
    return out;
  }

  static Expr dict(List<Expr> keys, List<Expr> values) {
    return run -> {
      Map<Object, Object> out = new LinkedHashMap<>();
      for (int i = 0; i < keys.size(); i++) {
        out.put(Attributes.key(run, keys.get(i).eval(run)), values.get(i).eval(run));
      }
      return out;
    };
  }

  static Expr condition(Expr test, Expr yes, Expr noOrNull) {
    return run -> {
      if (Operators.truth(test.eval(run))) {
        return yes.eval(run);
      }
      return noOrNull == null
          ? new Undefined("an inline if without else that was false")
          : noOrNull.eval(run);
    };
  }

  static Expr and(Expr left, Expr right) {
    return run -> {
      Object value = left.eval(run);
      return Operators.truth(value) ? right.eval(run) : value;
    };
  }

  static Expr or(Expr left, Expr right) {
    return run -> {
      Object value = left.eval(run);
      return Operators.truth(value) ? value : right.eval(run);
    };
  }

  static Expr not(Expr inner) {
    return run -> !Operators.truth(inner.eval(run));
  }

  static Expr binary(String operator, Expr left, Expr right) {
    return run -> Arithmetic.apply(run, operator, left.eval(run), right.eval(run));
  }

  static Expr signed(boolean negative, Expr inner) {
    return run -> {
      Object value = inner.eval(run);
      if (!Operators.isNumber(value)) {
        throw run.fail("a sign before a " + Values.typeName(value) + " is not supported");
      }
      Object factor = negative ? -1L : 1L;
      return value instanceof Double d
          ? (Object) (negative ? -d : d)
          : Arithmetic.apply(run, "*", value, factor);
    };
  }

  static Expr concat(List<Expr> parts) {
    return run -> {
      StringBuilder out = new StringBuilder();
      for (Expr part : parts) {
        out.append(PyText.str(run, part.eval(run)));
        run.checkChars(out.length());
      }
      return run.text(out.toString());
    };
  }

  static Expr compare(Expr first, List<Comparison> rest) {
    return run -> {
      Object left = first.eval(run);
      for (Comparison c : rest) {
        Object right = c.right().eval(run);
        if (!holds(run, c.operator(), left, right)) {
          return false;
        }
        left = right;
      }
      return true;
    };
  }

  private static boolean holds(Run run, String operator, Object a, Object b) {
    return switch (operator) {
      case "==" -> Operators.same(run, a, b);
      case "!=" -> !Operators.same(run, a, b);
      case "in" -> Operators.contains(run, b, a);
      case "not in" -> !Operators.contains(run, b, a);
      case "<" -> Operators.order(run, a, b) < 0;
      case "<=" -> Operators.order(run, a, b) <= 0;
      case ">" -> Operators.order(run, a, b) > 0;
      default -> Operators.order(run, a, b) >= 0;
    };
  }

  static Expr attribute(Expr object, String name) {
    return run -> Attributes.attribute(run, object.eval(run), name);
  }

  static Expr item(Expr object, Expr key) {
    return run -> {
      Object value = object.eval(run);
      return Attributes.item(run, value, key.eval(run));
    };
  }

  static Expr slice(Expr object, Expr from, Expr to, Expr step) {
    return run ->
        Attributes.slice(
            run, object.eval(run), orNull(from, run), orNull(to, run), orNull(step, run));
  }

  private static Object orNull(Expr e, Run run) {
    return e == null ? null : e.eval(run);
  }

  static Expr call(int line, Expr function, Call call) {
    return run -> {
      Object callee = function.eval(run);
      Args args = call.eval(run);
      run.line = line;
      if (callee instanceof Callable callable) {
        return callable.call(run, args);
      }
      throw run.fail(
          callee instanceof Undefined u
              ? u.what() + " is undefined, at a call"
              : "a " + Values.typeName(callee) + " cannot be called");
    };
  }

  static Expr filter(Expr value, Filter filter, Call call) {
    return run -> {
      Object input = value.eval(run);
      return filter.apply(run, input, call.eval(run));
    };
  }

  static Expr test(Expr value, Test test, Call call) {
    return run -> {
      Object input = value.eval(run);
      return test.apply(run, input, call.eval(run));
    };
  }
}
