package io.shadowbatch.spark;

import java.util.List;
import java.util.regex.Pattern;

/** Hides the values of options whose names suggest a secret. */
final class Redaction {

  private static final Pattern SECRET =
      Pattern.compile("(?i)secret|password|token|access[._-]?key|credential");

  private Redaction() {}

  static List<String> pairs(List<String> pairs) {
    return pairs.stream().map(Redaction::pair).toList();
  }

  private static String pair(String pair) {
    String name = pair.substring(0, pair.indexOf('='));
    return SECRET.matcher(name).find() ? name + "=*****" : pair;
  }
}
