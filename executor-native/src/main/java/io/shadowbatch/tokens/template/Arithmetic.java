package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.List;

/** Python's {@code + - * / // % **}; integers that leave 64 bits are refused. */
final class Arithmetic {
  private Arithmetic() {}

  static Object apply(Run run, String operator, Object a, Object b) {
    run.step();
    if (Operators.isNumber(a) && Operators.isNumber(b)) {
      try {
        return a instanceof Double || b instanceof Double
            ? (Object) floats(run, operator, Operators.toDouble(a), Operators.toDouble(b))
            : integers(run, operator, Operators.toLong(a), Operators.toLong(b));
      } catch (ArithmeticException e) {
        throw run.fail("integer out of 64 bits, at '" + operator + "'");
      }
    }
    if (operator.equals("+")) {
      return plus(run, a, b);
    }
    if (operator.equals("*") && isCount(b)) {
      return repeat(run, a, Operators.toLong(b));
    }
    if (operator.equals("*") && isCount(a)) {
      return repeat(run, b, Operators.toLong(a));
    }
    if (operator.equals("%") && a instanceof String format) {
      return PercentFormat.apply(run, format, b instanceof Tuple t ? t.items() : List.of(b));
    }
    throw unsupported(run, operator, a, b);
  }

  private static boolean isCount(Object v) {
    return v instanceof Long || v instanceof Boolean;
  }

  private static TemplateException unsupported(Run run, String operator, Object a, Object b) {
    String undefined =
        a instanceof Undefined u ? u.what() : b instanceof Undefined u ? u.what() : "";
    return run.fail(
        undefined.isEmpty()
            ? "cannot apply '"
                + operator
                + "' to "
                + Values.typeName(a)
                + " and "
                + Values.typeName(b)
            : undefined + " is undefined, at '" + operator + "'");
  }

  private static Object plus(Run run, Object a, Object b) {
    if (a instanceof String x && b instanceof String y) {
      run.checkChars((long) x.length() + y.length());
      return run.text(x + y);
    }
    if (isText(a) && isText(b)) {
      // text marked safe stays so, and escapes what is joined to it
      Markup left = a instanceof Markup m ? m : Filters.escaped(run, (String) a);
      Markup right = b instanceof Markup m ? m : Filters.escaped(run, (String) b);
      return new Markup(run.text(left.text() + right.text()));
    }
    boolean lists = a instanceof List && b instanceof List;
    if (lists || (a instanceof Tuple && b instanceof Tuple)) {
      List<Object> out = new ArrayList<>(Operators.itemsOrNull(a));
      out.addAll(Operators.itemsOrNull(b));
      run.list(out);
      return lists ? out : new Tuple(out);
    }
    throw unsupported(run, "+", a, b);
  }

  private static boolean isText(Object v) {
    return v instanceof String || v instanceof Markup;
  }

  private static Object repeat(Run run, Object a, long count) {
    long times = Math.max(0, count);
    if (a instanceof String s) {
      if (!s.isEmpty()) {
        run.checkChars(times > Integer.MAX_VALUE ? times : times * s.length());
      }
      return s.isEmpty() ? "" : run.text(s.repeat((int) times));
    }
    if (!(a instanceof List) && !(a instanceof Tuple)) {
      throw unsupported(run, "*", a, count);
    }
    List<Object> items = Operators.itemsOrNull(a);
    List<Object> out = new ArrayList<>();
    if (!items.isEmpty()) {
      run.checkItems(times > Integer.MAX_VALUE ? times : times * items.size());
      for (long i = 0; i < times; i++) {
        out.addAll(items);
      }
    }
    return a instanceof Tuple ? new Tuple(out) : out;
  }

  private static Object integers(Run run, String operator, long a, long b) {
    switch (operator) {
      case "+":
        return Math.addExact(a, b);
      case "-":
        return Math.subtractExact(a, b);
      case "*":
        return Math.multiplyExact(a, b);
      case "**":
        return b < 0 ? (Object) power(run, a, b) : power(a, b);
      default:
        break;
    }
    if (b == 0) {
      throw run.fail("division by zero, at '" + operator + "'");
    }
    if (b == -1) {
      return switch (operator) {
        case "/" -> -(double) a;
        case "//" -> Math.negateExact(a);
        default -> 0L;
      };
    }
    return switch (operator) {
      case "/" -> divide(run, a, b);
      case "//" -> Math.floorDiv(a, b);
      default -> Math.floorMod(a, b);
    };
  }

  private static double divide(Run run, long a, long b) {
    long exact = 1L << 53;
    if (Math.abs(a) > exact || Math.abs(b) > exact) {
      throw run.fail("division of integers above 2**53 is not supported");
    }
    return (double) a / b;
  }

  private static double power(Run run, double a, double b) {
    if (a == 0 && b < 0) {
      throw run.fail("0 cannot be raised to a number below 0");
    }
    if (a < 0 && b != Math.rint(b)) {
      throw run.fail("complex numbers are not supported");
    }
    return Math.pow(a, b);
  }

  private static long power(long base, long exponent) {
    if (base == 0 || base == 1 || base == -1) {
      return exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
    }
    long result = 1;
    for (long i = 0; i < exponent; i++) {
      result = Math.multiplyExact(result, base);
    }
    return result;
  }

  private static double floats(Run run, String operator, double a, double b) {
    switch (operator) {
      case "+":
        return a + b;
      case "-":
        return a - b;
      case "*":
        return a * b;
      case "**":
        return power(run, a, b);
      default:
        break;
    }
    if (b == 0) {
      throw run.fail("division by zero, at '" + operator + "'");
    }
    if (operator.equals("/")) {
      return a / b;
    }
    double mod = a % b;
    if (mod != 0 && (b < 0) != (mod < 0)) {
      mod += b;
    } else if (mod == 0) {
      mod = Math.copySign(0.0, b);
    }
    if (operator.equals("%")) {
      return mod;
    }
    double quotient = (a - mod) / b;
    double floor = Math.floor(quotient);
    return quotient - floor > 0.5 ? floor + 1 : quotient == 0 ? Math.copySign(0.0, a / b) : floor;
  }
}
