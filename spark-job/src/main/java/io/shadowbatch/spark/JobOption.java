package io.shadowbatch.spark;

import java.util.List;

/**
 * One option of the job: the single place that says its names, type, default and meaning.
 *
 * @param name as on the command line, without dashes, and in the configuration file
 * @param key as a Spark property
 * @param type what values are allowed
 * @param initial the default as text; null if there is none
 * @param choices the allowed values; empty if any of the type are allowed
 * @param text one line of documentation
 */
public record JobOption(
    String name, String key, Type type, String initial, List<String> choices, String text) {

  /** Prefix of every option's Spark property. */
  public static final String KEY_PREFIX = "spark.shadowbatch.";

  /** Kinds of values. */
  public enum Type {
    TEXT("text"),
    WHOLE("number"),
    DECIMAL("number"),
    SIZE("size"),
    SIZE_OR_AUTO("auto|size"),
    SWITCH("true|false"),
    TEXTS("text, repeatable"),
    PAIRS("k=v, repeatable");

    private final String shown;

    Type(String shown) {
      this.shown = shown;
    }

    /** How the type is shown in tables. */
    public String shown() {
      return shown;
    }

    /** True if the option may be given several times. */
    public boolean repeatable() {
      return this == TEXTS || this == PAIRS;
    }
  }

  static JobOption of(String name, String area, Type type, String initial, String text) {
    return new JobOption(name, key(name, area), type, initial, List.of(), text);
  }

  static JobOption choice(String name, String area, String choices, String initial, String text) {
    List<String> allowed = List.of(choices.split("\\|"));
    return new JobOption(name, key(name, area), Type.TEXT, initial, allowed, text);
  }

  /**
   * {@code max-tokens} in area {@code sampling} is {@code spark.shadowbatch.sampling.maxTokens}.
   */
  private static String key(String name, String area) {
    StringBuilder camel = new StringBuilder();
    for (String word : name.split("-")) {
      String rest = word.substring(1);
      char first = camel.isEmpty() ? word.charAt(0) : Character.toUpperCase(word.charAt(0));
      camel.append(first).append(rest);
    }
    return KEY_PREFIX + area + "." + camel;
  }

  /** The allowed values as shown in tables. */
  public String values() {
    return choices.isEmpty() ? type.shown() : String.join("|", choices);
  }
}
