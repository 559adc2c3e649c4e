package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Functions that every template can call. */
final class Globals {
  /** By name; variables of the same name hide them. */
  static final Map<String, Object> ALL =
      Map.of(
          "range", (Callable) Globals::range,
          "dict", (Callable) Globals::dict,
          "namespace", (Callable) (run, args) -> new Namespace(fields(run, args)),
          "raise_exception", (Callable) Globals::raise,
          "strftime_now", (Callable) Globals::now,
          "cycler", refused("cycler"),
          "joiner", refused("joiner"),
          "lipsum", refused("lipsum"));

  private Globals() {}

  private static Callable refused(String name) {
    return (run, args) -> {
      throw run.fail("function '" + name + "' is not supported");
    };
  }

  private static Object range(Run run, Args args) {
    Object[] a = args.bind(run, "range", "start!", "stop", "step");
    long[] n = new long[3];
    for (int i = 0; i < 3; i++) {
      if (a[i] != null && !(a[i] instanceof Long) && !(a[i] instanceof Boolean)) {
        throw run.fail("range needs integers, got " + Values.typeName(a[i]));
      }
      n[i] = a[i] == null ? 1 : Operators.toLong(a[i]);
    }
    long start = a[1] == null ? 0 : n[0];
    long stop = a[1] == null ? n[0] : n[1];
    long step = n[2];
    if (step == 0) {
      throw run.fail("range step cannot be zero");
    }
    List<Object> out = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; ) {
      if (out.size() == TemplateLimits.RANGE_MAX) {
        throw run.fail("range must have at most " + TemplateLimits.RANGE_MAX + " items");
      }
      out.add(i);
      long next = i + step;
      if (step > 0 ? next < i : next > i) {
        break;
      }
      i = next;
    }
    run.charge(out.size());
    String text = "range(" + start + ", " + stop + (step == 1 ? ")" : ", " + step + ")");
    return new Range(out, text);
  }

  private static Map<String, Object> fields(Run run, Args args) {
    Map<String, Object> out = new LinkedHashMap<>();
    dict(run, args).forEach((key, value) -> out.put(key.toString(), value));
    return out;
  }

  private static Map<Object, Object> dict(Run run, Args args) {
    Map<Object, Object> out = new LinkedHashMap<>();
    if (args.positional().size() > 1) {
      throw run.fail("dict takes at most 1 value, got " + args.positional().size());
    }
    for (Object given : args.positional()) {
      if (given instanceof Map<?, ?> map) {
        out.putAll(map);
      } else {
        putPairs(run, Operators.toList(run, given), out);
      }
    }
    out.putAll(args.named());
    run.checkItems(out.size());
    return out;
  }

  private static void putPairs(Run run, List<Object> pairs, Map<Object, Object> out) {
    for (Object pair : pairs) {
      List<Object> parts = Operators.toList(run, pair);
      if (parts.size() != 2) {
        throw run.fail("dict needs pairs, got " + parts.size() + " items");
      }
      out.put(Attributes.key(run, parts.get(0)), parts.get(1));
    }
  }

  private static Object raise(Run run, Args args) {
    String reason = PyText.str(run, args.bind(run, "raise_exception", "message!")[0]);
    throw new TemplateRaised(run.line, reason, run.shown(reason));
  }

  private static Object now(Run run, Args args) {
    Object format = args.bind(run, "strftime_now", "format!")[0];
    if (!(format instanceof String)) {
      throw run.fail("strftime_now needs a str, got " + Values.typeName(format));
    }
    return Strftime.format(run, (String) format);
  }
}
