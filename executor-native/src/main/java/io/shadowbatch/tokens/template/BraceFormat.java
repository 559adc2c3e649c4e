package io.shadowbatch.tokens.template;

/** {@code str.format} with {@code {}}, {@code {0}} and {@code {name}}; all else is refused. */
final class BraceFormat {
  private BraceFormat() {}

  static String apply(Run run, String format, Args args) {
    StringBuilder out = new StringBuilder();
    int next = 0;
    boolean numbered = false;
    int i = 0;
    while (i < format.length()) {
      char c = format.charAt(i++);
      boolean doubled = i < format.length() && format.charAt(i) == c;
      if (c != '{' && c != '}') {
        out.append(c);
      } else if (doubled) {
        out.append(c);
        i++;
      } else {
        int end = format.indexOf('}', i);
        if (c == '}' || end < 0) {
          throw run.fail("format has a single '" + c + "'");
        }
        String field = format.substring(i, end);
        i = end + 1;
        numbered |= !field.isEmpty() && Character.isDigit(field.charAt(0));
        if (numbered && (field.isEmpty() || next > 0)) {
          throw run.fail("format mixes {} and numbered fields");
        }
        out.append(PyText.str(run, value(run, field.isEmpty() ? "" + next++ : field, args)));
      }
      run.checkChars(out.length());
    }
    return run.text(out.toString());
  }

  private static Object value(Run run, String field, Args args) {
    if (args.named().containsKey(field)) {
      return args.named().get(field);
    }
    boolean index = field.length() < 10 && field.chars().allMatch(c -> c >= '0' && c <= '9');
    if (index && Integer.parseInt(field) < args.positional().size()) {
      return args.positional().get(Integer.parseInt(field));
    }
    throw run.fail(
        "format field " + run.shown("{" + field + "}") + " is not known or has no value");
  }
}
