package io.shadowbatch.eval;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A way to keep keys and values, as the command line names it: {@code name:option=value,..}.
 *
 * @param text as given
 */
record EvalPolicy(String text, String name, Map<String, String> options) {

  /**
   * Reads a policy.
   *
   * @throws IllegalArgumentException if an option has no value
   */
  static EvalPolicy parse(String text) {
    int colon = text.indexOf(':');
    Map<String, String> options = new TreeMap<>();
    if (colon >= 0) {
      for (String option : text.substring(colon + 1).split(",")) {
        int equals = option.indexOf('=');
        if (equals < 1) {
          throw new IllegalArgumentException(
              "--policy %s: expected option=value, got '%s'".formatted(text, option));
        }
        options.put(option.substring(0, equals), option.substring(equals + 1));
      }
    }
    return new EvalPolicy(text, colon < 0 ? text : text.substring(0, colon), options);
  }

  /** The policy with the engine's own choice of form: what all others are compared with. */
  static EvalPolicy full() {
    return parse("full");
  }

  /** A whole number. */
  int number(String option, int initial) {
    String value = options.get(option);
    if (value == null) return initial;
    if (!value.matches("[0-9]{1,9}")) {
      throw new IllegalArgumentException(
          "--policy %s: %s: expected a whole number from 0, got '%s'"
              .formatted(text, option, value));
    }
    return Integer.parseInt(value);
  }

  /** One of some words, the first if none is given. */
  String word(String option, List<String> words) {
    String value = options.getOrDefault(option, words.get(0));
    if (!words.contains(value)) {
      throw new IllegalArgumentException(
          "--policy %s: %s: expected one of %s, got '%s'".formatted(text, option, words, value));
    }
    return value;
  }

  /** Refuses options that the policy does not have. */
  void allow(Set<String> known) {
    for (String option : options.keySet()) {
      if (!known.contains(option)) {
        throw new IllegalArgumentException(
            "--policy %s: expected options %s, got '%s'".formatted(text, known, option));
      }
    }
  }
}
