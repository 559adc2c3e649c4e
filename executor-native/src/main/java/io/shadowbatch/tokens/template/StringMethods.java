package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.IntPredicate;

/** Methods of Python's {@code str}. */
final class StringMethods {
  /** What Python has and this does not. */
  static final Set<String> REFUSED =
      Set.of(
          "casefold",
          "center",
          "encode",
          "expandtabs",
          "format_map",
          "isdecimal",
          "isidentifier",
          "isnumeric",
          "isprintable",
          "istitle",
          "ljust",
          "maketrans",
          "partition",
          "rjust",
          "rpartition",
          "swapcase",
          "translate",
          "zfill",
          "isascii");

  private StringMethods() {}

  /** The method, or null when strings have none of that name. */
  static Callable bound(String s, String name) {
    return switch (name) {
      case "strip" -> (run, args) -> strip(run, s, name, args, true, true);
      case "lstrip" -> (run, args) -> strip(run, s, name, args, true, false);
      case "rstrip" -> (run, args) -> strip(run, s, name, args, false, true);
      case "upper" -> (run, args) -> upper(run, s, args);
      case "lower" -> (run, args) -> lower(run, s, args);
      case "title" -> (run, args) -> title(run, s, args);
      case "capitalize" -> (run, args) -> capitalize(run, s, args);
      case "startswith", "endswith" -> (run, args) -> affix(run, s, name, args);
      case "split", "rsplit" -> (run, args) -> split(run, s, name, args);
      case "splitlines" -> (run, args) -> splitLines(run, s, args);
      case "replace" -> (run, args) -> replace(run, s, args);
      case "join" -> (run, args) -> join(run, s, args);
      case "find", "rfind", "index", "rindex" -> (run, args) -> find(run, s, name, args);
      case "count" -> (run, args) -> count(run, s, args);
      case "removeprefix", "removesuffix" -> (run, args) -> remove(run, s, name, args);
      case "isdigit" -> (run, args) -> all(run, s, args, c -> isDigit(run, c));
      case "isalpha" -> (run, args) -> all(run, s, args, Character::isLetter);
      case "isalnum" -> (run, args) -> all(run, s, args, StringMethods::isAlphanumeric);
      case "isspace" -> (run, args) -> all(run, s, args, PyText::isSpace);
      case "isupper" -> (run, args) -> isCase(run, s, args, true);
      case "islower" -> (run, args) -> isCase(run, s, args, false);
      case "format" -> (run, args) -> BraceFormat.apply(run, s, args);
      default -> null;
    };
  }

  private static String text(Run run, String method, Object value) {
    if (value instanceof String s) {
      return s;
    }
    throw run.fail(method + " needs a str, got " + Values.typeName(value));
  }

  private static Object strip(
      Run run, String s, String name, Args args, boolean left, boolean right) {
    Object chars = args.bind(run, name, "chars")[0];
    boolean spaces = chars == null || chars == None.NONE;
    run.charge(s.length() / 16);
    return PyText.strip(s, spaces ? null : text(run, name, chars), left, right);
  }

  private static Object upper(Run run, String s, Args args) {
    args.bind(run, "upper");
    return run.text(s.toUpperCase(Locale.ROOT));
  }

  private static Object lower(Run run, String s, Args args) {
    args.bind(run, "lower");
    return run.text(s.toLowerCase(Locale.ROOT));
  }

  private static boolean isCased(int c) {
    return Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
  }

  private static Object title(Run run, String s, Args args) {
    args.bind(run, "title");
    StringBuilder out = new StringBuilder();
    boolean inWord = false;
    for (int i = 0; i < s.length(); i += Character.charCount(s.codePointAt(i))) {
      int c = s.codePointAt(i);
      String one = Character.toString(c);
      out.append(inWord ? one.toLowerCase(Locale.ROOT) : titled(c));
      inWord = isCased(c);
    }
    return run.text(out.toString());
  }

  private static String titled(int c) {
    String upper = Character.toString(c).toUpperCase(Locale.ROOT);
    boolean expands = upper.codePointCount(0, upper.length()) > 1;
    return expands
        ? upper.charAt(0) + upper.substring(1).toLowerCase(Locale.ROOT)
        : Character.toString(Character.toTitleCase(c));
  }

  private static Object capitalize(Run run, String s, Args args) {
    args.bind(run, "capitalize");
    if (s.isEmpty()) {
      return s;
    }
    int first = s.codePointAt(0);
    return run.text(
        titled(first) + s.substring(Character.charCount(first)).toLowerCase(Locale.ROOT));
  }

  private static Object affix(Run run, String s, String name, Args args) {
    Object wanted = args.bind(run, name, "affix!")[0];
    List<Object> options = wanted instanceof Tuple t ? t.items() : List.of(wanted);
    for (Object option : options) {
      String affix = text(run, name, option);
      if (name.equals("startswith") ? s.startsWith(affix) : s.endsWith(affix)) {
        return true;
      }
    }
    return false;
  }

  private static long number(Run run, String what, Object value, long absent) {
    if (value == null) {
      return absent;
    } else if (value instanceof Long n) {
      return n;
    }
    throw run.fail(what + " needs an integer, got " + Values.typeName(value));
  }

  private static Object split(Run run, String s, String name, Args args) {
    Object[] a = args.bind(run, name, "sep", "maxsplit");
    long most = number(run, name, a[1], -1);
    long left = most < 0 ? Long.MAX_VALUE : most;
    boolean fromRight = name.equals("rsplit");
    boolean spaces = a[0] == null || a[0] == None.NONE;
    run.checkItems(s.length() / 16);
    if (!spaces && text(run, name, a[0]).isEmpty()) {
      throw run.fail(name + ": empty separator");
    }
    List<Object> parts;
    if (spaces) {
      parts = fromRight ? splitSpacesRight(s, left) : splitSpaces(s, left);
    } else {
      parts = fromRight ? splitRight(s, (String) a[0], left) : splitLeft(s, (String) a[0], left);
    }
    run.charge(parts.size());
    return run.list(parts);
  }

  private static List<Object> splitLeft(String s, String separator, long left) {
    List<Object> out = new ArrayList<>();
    int from = 0;
    for (int at = s.indexOf(separator); at >= 0 && left > 0; left--) {
      out.add(s.substring(from, at));
      from = at + separator.length();
      at = s.indexOf(separator, from);
    }
    out.add(s.substring(from));
    return out;
  }

  private static List<Object> splitRight(String s, String separator, long left) {
    List<Object> out = new ArrayList<>();
    int to = s.length();
    while (left-- > 0) {
      int at = to - separator.length() < 0 ? -1 : s.lastIndexOf(separator, to - separator.length());
      if (at < 0) {
        break;
      }
      out.add(s.substring(at + separator.length(), to));
      to = at;
    }
    out.add(s.substring(0, to));
    Collections.reverse(out);
    return out;
  }

  private static List<Object> splitSpaces(String s, long left) {
    List<Object> out = new ArrayList<>();
    int from = skip(s, 0, 1, true);
    while (from < s.length()) {
      int end = left-- <= 0 ? s.length() : skip(s, from, 1, false);
      out.add(s.substring(from, end));
      from = skip(s, end, 1, true);
    }
    return out;
  }

  private static List<Object> splitSpacesRight(String s, long left) {
    List<Object> out = new ArrayList<>();
    int last = skip(s, s.length() - 1, -1, true);
    while (last >= 0) {
      int before = left-- <= 0 ? -1 : skip(s, last, -1, false);
      out.add(s.substring(before + 1, last + 1));
      last = skip(s, before, -1, true);
    }
    Collections.reverse(out);
    return out;
  }

  private static int skip(String s, int from, int step, boolean spaces) {
    int i = from;
    while (i >= 0 && i < s.length() && PyText.isSpace(s.charAt(i)) == spaces) {
      i += step;
    }
    return i;
  }

  private static Object splitLines(Run run, String s, Args args) {
    Object keep = args.bind(run, "splitlines", "keepends")[0];
    if (keep != null && Operators.truth(keep)) {
      throw run.fail("splitlines with keepends is not supported");
    }
    return run.list(lines(s));
  }

  /** The lines of a text by Python's line boundaries, without their ends. */
  static List<Object> lines(String s) {
    List<Object> out = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < s.length(); i++) {
      char c = s.charAt(i);
      if ("\n\r\u000b\f\u001c\u001d\u001e\u0085\u2028\u2029".indexOf(c) >= 0) {
        out.add(s.substring(from, i));
        if (c == '\r' && i + 1 < s.length() && s.charAt(i + 1) == '\n') {
          i++;
        }
        from = i + 1;
      }
    }
    if (from < s.length()) {
      out.add(s.substring(from));
    }
    return out;
  }

  private static Object replace(Run run, String s, Args args) {
    Object[] a = args.bind(run, "replace", "old!", "new!", "count");
    long most = number(run, "replace", a[2], -1);
    return replace(run, s, text(run, "replace", a[0]), text(run, "replace", a[1]), most);
  }

  static String replace(Run run, String s, String old, String fresh, long most) {
    StringBuilder out = new StringBuilder();
    int from = 0;
    long left = most < 0 ? Long.MAX_VALUE : most;
    while (left-- > 0) {
      int at = s.indexOf(old, from);
      if (at < 0) {
        break;
      }
      int copied = old.isEmpty() && at < s.length() ? Character.charCount(s.codePointAt(at)) : 0;
      out.append(s, from, at).append(fresh).append(s, at, at + copied);
      run.checkChars(out.length());
      from = at + old.length() + copied;
      if (old.isEmpty() && copied == 0) {
        return run.text(out.toString());
      }
    }
    return run.text(out.append(s, Math.min(from, s.length()), s.length()).toString());
  }

  private static Object join(Run run, String s, Args args) {
    StringBuilder out = new StringBuilder();
    String separator = "";
    for (Object item : Operators.toList(run, args.bind(run, "join", "iterable!")[0])) {
      out.append(separator).append(text(run, "join", item));
      run.checkChars(out.length());
      separator = s;
    }
    return run.text(out.toString());
  }

  private static Object find(Run run, String s, String name, Args args) {
    String wanted = text(run, name, args.bind(run, name, "sub!")[0]);
    run.charge(s.length() / 16 + (long) s.length() * wanted.length() / 256);
    int at = name.startsWith("r") ? s.lastIndexOf(wanted) : s.indexOf(wanted);
    if (at < 0 && name.endsWith("index")) {
      throw run.fail(name + ": " + run.shown(wanted) + " is not in the text");
    }
    return at < 0 ? -1L : (long) s.codePointCount(0, at);
  }

  private static Object count(Run run, String s, Args args) {
    String wanted = text(run, "count", args.bind(run, "count", "sub!")[0]);
    run.charge(s.length() / 16 + (long) s.length() * wanted.length() / 256);
    return wanted.isEmpty()
        ? PyText.length(s) + 1L
        : splitLeft(s, wanted, Long.MAX_VALUE).size() - 1L;
  }

  private static Object remove(Run run, String s, String name, Args args) {
    String affix = text(run, name, args.bind(run, name, "affix!")[0]);
    if (name.equals("removeprefix")) {
      return s.startsWith(affix) ? s.substring(affix.length()) : s;
    }
    return s.endsWith(affix) ? s.substring(0, s.length() - affix.length()) : s;
  }

  private static Object all(Run run, String s, Args args, IntPredicate test) {
    args.bind(run, "str test");
    run.charge(s.length() / 16);
    return !s.isEmpty() && s.codePoints().allMatch(test);
  }

  private static boolean isDigit(Run run, int c) {
    if (Character.getType(c) == Character.OTHER_NUMBER) {
      throw run.fail("isdigit of a number that is no digit is not supported");
    }
    return Character.isDigit(c);
  }

  private static boolean isAlphanumeric(int c) {
    int type = Character.getType(c);
    return Character.isLetterOrDigit(c)
        || type == Character.LETTER_NUMBER
        || type == Character.OTHER_NUMBER;
  }

  static Object isCase(Run run, String s, Args args, boolean upper) {
    args.bind(run, "str test");
    run.charge(s.length() / 16);
    boolean any = s.codePoints().anyMatch(StringMethods::isCased);
    return any
        && s.codePoints()
            .filter(StringMethods::isCased)
            .allMatch(upper ? Character::isUpperCase : Character::isLowerCase);
  }
}
