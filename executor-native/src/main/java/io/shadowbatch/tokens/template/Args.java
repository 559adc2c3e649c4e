package io.shadowbatch.tokens.template;

import java.util.List;
import java.util.Map;

/** Evaluated arguments of a call. */
record Args(List<Object> positional, Map<String, Object> named) {
  static final Args NONE = new Args(List.of(), Map.of());

  /**
   * Puts the arguments in the order of {@code names}; a name that ends in {@code !} is required,
   * absent optional ones become null.
   */
  Object[] bind(Run run, String function, String... names) {
    if (positional.size() > names.length) {
      throw run.fail(
          function + " takes at most " + names.length + " arguments, got " + positional.size());
    }
    Object[] out = new Object[names.length];
    int used = 0;
    for (int i = 0; i < names.length; i++) {
      boolean required = names[i].endsWith("!");
      String name = required ? names[i].substring(0, names[i].length() - 1) : names[i];
      boolean isNamed = named.containsKey(name);
      if (i < positional.size()) {
        out[i] = positional.get(i);
        if (isNamed) {
          throw run.fail(function + " got argument '" + name + "' twice");
        }
      } else if (isNamed) {
        out[i] = named.get(name);
        used++;
      } else if (required) {
        throw run.fail(function + " needs argument '" + name + "'");
      }
    }
    if (used != named.size()) {
      throw run.fail(
          function + " takes arguments " + List.of(names) + ", got names " + named.keySet());
    }
    return out;
  }
}
