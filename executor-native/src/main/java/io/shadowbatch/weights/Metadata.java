package io.shadowbatch.weights;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a model's files say besides tensors, read with type and range checks: every error names
 * file, key, found and expected. Integers are {@link Long}, floats {@link Double}, lists arrays or
 * {@link List}, objects maps.
 */
public final class Metadata {
  private final Path file;
  private final Map<String, Object> values;

  public Metadata(Path file, Map<String, Object> values) {
    this.file = file;
    this.values = values;
  }

  /** Where the values come from. */
  public Path file() {
    return file;
  }

  /** All keys. */
  public Set<String> keys() {
    return values.keySet();
  }

  /** The value as it is, or null. */
  public Object raw(String key) {
    return values.get(key);
  }

  /** Whether the key is there and not null. */
  public boolean has(String key) {
    return values.get(key) != null;
  }

  /** The text under a key that must be there. */
  public String text(String key) throws ModelFileException {
    return as(String.class, key, required(key), "a text");
  }

  /** The text under a key, or {@code fallback}. */
  public String textOr(String key, String fallback) throws ModelFileException {
    return has(key) ? text(key) : fallback;
  }

  /** The integer under a key that must be there, in [min, max]. */
  public int integer(String key, int min, int max) throws ModelFileException {
    Object value = required(key);
    if (!(value instanceof Long n) || n < min || n > max) {
      throw wrong(key, value, "an integer in [%d, %d]".formatted(min, max));
    }
    return n.intValue();
  }

  /** The integer under a key, in [min, max], or {@code fallback}. */
  public int integerOr(String key, int min, int max, int fallback) throws ModelFileException {
    return has(key) ? integer(key, min, max) : fallback;
  }

  /** The finite number under a key that must be there. */
  public double number(String key) throws ModelFileException {
    Object value = required(key);
    double number = value instanceof Number n ? n.doubleValue() : Double.NaN;
    if (!Double.isFinite(number)) throw wrong(key, value, "a finite number");
    return number;
  }

  /** The finite number under a key, or {@code fallback}. */
  public double numberOr(String key, double fallback) throws ModelFileException {
    return has(key) ? number(key) : fallback;
  }

  /** Whether the key is there and true. */
  public boolean isTrue(String key) throws ModelFileException {
    return has(key) && as(Boolean.class, key, values.get(key), "true or false");
  }

  /** The object under a key, or null. */
  @SuppressWarnings("unchecked")
  public Metadata object(String key) throws ModelFileException {
    Object value = values.get(key);
    if (value == null) return null;
    return new Metadata(file, (Map<String, Object>) as(Map.class, key, value, "an object"));
  }

  /** The texts under a key that must be there. */
  public String[] texts(String key) throws ModelFileException {
    Object value = required(key);
    if (value instanceof List<?> list && list.stream().allMatch(String.class::isInstance)) {
      return list.toArray(new String[0]);
    }
    return as(String[].class, key, value, "a list of texts");
  }

  /** The 32-bit integers under a key, or null. */
  public int[] integers(String key) throws ModelFileException {
    return has(key) ? as(int[].class, key, values.get(key), "a list of integers") : null;
  }

  /** The floats under a key, or null. */
  public float[] floats(String key) throws ModelFileException {
    return has(key) ? as(float[].class, key, values.get(key), "a list of floats") : null;
  }

  /** One integer or a list of them, in [min, max]; empty if the key is not there. */
  public List<Integer> oneOrMore(String key, int min, int max) throws ModelFileException {
    Object value = values.get(key);
    if (value == null) return List.of();
    List<Integer> result = new ArrayList<>();
    for (Object item : value instanceof List<?> list ? list : List.of(value)) {
      if (!(item instanceof Long n) || n < min || n > max) {
        throw wrong(key, value, "integers in [%d, %d]".formatted(min, max));
      }
      result.add(n.intValue());
    }
    return List.copyOf(result);
  }

  /** An error about the value of a key. */
  public ModelFileException wrong(String key, Object found, String expected) {
    return new ModelFileException(
        file, "key %s is %s, expected %s".formatted(key, show(found), expected));
  }

  private Object required(String key) throws ModelFileException {
    Object value = values.get(key);
    if (value == null) throw new ModelFileException(file, "key " + key + " is missing");
    return value;
  }

  private <T> T as(Class<T> type, String key, Object value, String expected)
      throws ModelFileException {
    if (!type.isInstance(value)) throw wrong(key, value, expected);
    return type.cast(value);
  }

  private static String show(Object value) {
    if (value instanceof String s) return ModelFileException.quote(s);
    boolean scalar = value instanceof Number || value instanceof Boolean;
    return scalar || value == null ? String.valueOf(value) : "a " + kind(value);
  }

  private static String kind(Object value) {
    return value instanceof Map ? "object" : "list";
  }
}
