package io.shadowbatch.plan;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * In which order the columns of a table are best written into prompts, so that prompts share long
 * beginnings once they are sorted. A prompt shares its first k columns with another unless it is
 * the first with those values: an order saves, for each row, the bytes of each column times {@code
 * 1 - distinct(columns up to it) / rows}.
 *
 * <p>The start is the order by {@link #score} (the column planner's rule: bytes times {@code 1 -
 * distinct / rows}); columns then move as long as that saves more. How many values columns have
 * together is known for single ones and pairs, and estimated for more: a column that another
 * determines adds none, independent ones multiply.
 *
 * @param rows of the table
 * @param bytes mean length of each column as written
 * @param distinct number of values, at least of each single column, by ascending column indexes;
 *     may be estimates with a relative standard error of {@link #ERROR}
 */
public record ColumnOrder(long rows, List<Double> bytes, Map<List<Integer>, Long> distinct) {

  /** Relative standard error of an estimate: 1.04 / sqrt(registers) of HyperLogLog. */
  public static final double ERROR = 1.04 / Math.sqrt(1 << 14);

  /** Three standard errors: closer to the number of rows, a column counts as unique. */
  private static final double UNIQUE_MARGIN = 3 * ERROR;

  /** Three standard errors of the difference of two estimates. */
  private static final double EQUAL_MARGIN = 3 * Math.sqrt(2) * ERROR;

  /** Columns whose pairs are worth counting, those of the highest scores: at most 120 pairs. */
  private static final int PAIRED_COLUMNS_MAX = 16;

  /** Each column alone. */
  public static List<List<Integer>> singles(int columns) {
    return IntStream.range(0, columns).mapToObj(List::of).toList();
  }

  /** The beginnings of an order, each as ascending indexes. */
  public static List<List<Integer>> prefixes(List<Integer> order) {
    return IntStream.rangeClosed(1, order.size())
        .mapToObj(n -> order.subList(0, n).stream().sorted().toList())
        .toList();
  }

  /** Pairs whose number of values can change the order. */
  public List<List<Integer>> pairs() {
    List<Integer> repeating =
        byScore().stream()
            .filter(c -> count(List.of(c)) > 1 && count(List.of(c)) < rows)
            .limit(PAIRED_COLUMNS_MAX)
            .sorted()
            .toList();
    List<List<Integer>> pairs = new ArrayList<>();
    for (int a : repeating) for (int b : repeating) if (a < b) pairs.add(List.of(a, b));
    return pairs;
  }

  /** Bytes that a row saves if the column stands first. */
  public double score(int column) {
    return saved(column, count(List.of(column)));
  }

  private double saved(int column, double values) {
    return rows == 0 ? 0 : bytes.get(column) * (1 - Math.min(1, values / rows));
  }

  /** The columns with as many values as this one, both alone and together with it. */
  public List<Integer> glued(int column) {
    return IntStream.range(0, bytes.size())
        .filter(other -> determines(column, other) && determines(other, column))
        .boxed()
        .toList();
  }

  /** Whether a row's value of one column says its value of the other, as far as is known. */
  private boolean determines(int column, int other) {
    Long together = column == other ? null : distinct.get(pair(column, other));
    return together != null && together <= count(List.of(column)) * (1 + EQUAL_MARGIN);
  }

  private static List<Integer> pair(int a, int b) {
    return a < b ? List.of(a, b) : List.of(b, a);
  }

  /** Values of columns together; the rows if that cannot be told from unique, 0 if not known. */
  private long count(List<Integer> columns) {
    long count = distinct.getOrDefault(columns, 0L);
    return count >= rows * (1 - UNIQUE_MARGIN) ? rows : count;
  }

  /**
   * Mean bytes of a row that this order saves.
   *
   * @param order all columns; the values of its {@link #prefixes} must be known
   */
  public double shared(List<Integer> order) {
    double saved = 0;
    for (List<Integer> prefix : prefixes(order)) {
      if (!distinct.containsKey(prefix)) {
        throw new IllegalArgumentException("values of columns " + prefix + " are not known");
      }
      saved += saved(order.get(prefix.size() - 1), count(prefix));
    }
    return saved;
  }

  private List<Integer> byScore() {
    return IntStream.range(0, bytes.size())
        .boxed()
        .sorted(Comparator.comparingDouble(c -> -score(c)))
        .toList();
  }

  /** All columns in the order that should save most; equal ones as they were given. */
  public List<Integer> best() {
    List<Integer> order = byScore();
    double saved = expected(order);
    while (true) {
      List<Integer> better = null;
      for (int from = 0; from < order.size(); from++) {
        for (int to = 0; to < order.size(); to++) {
          List<Integer> moved = new ArrayList<>(order);
          moved.add(to, moved.remove(from));
          double expected = expected(moved);
          if (expected > saved * (1 + 1e-9)) { // rounding is no gain
            saved = expected;
            better = moved;
          }
        }
      }
      if (better == null) return Collections.unmodifiableList(order);
      order = better;
    }
  }

  /** What {@link #shared} should be, from single columns and pairs. */
  private double expected(List<Integer> order) {
    List<Integer> independent = new ArrayList<>();
    double values = 1;
    double saved = 0;
    for (int at = 0; at < order.size() && values < rows; at++) { // then nothing is shared
      int column = order.get(at);
      List<Integer> before = order.subList(0, at);
      if (count(List.of(column)) > 1 && before.stream().noneMatch(b -> determines(b, column))) {
        independent.removeIf(b -> determines(column, b));
        independent.add(column);
        double product = 1;
        for (int c : independent) product *= count(List.of(c));
        values = Math.max(values, Math.max(count(List.of(column)), together(independent, product)));
        for (int b : before) values = Math.max(values, count(pair(b, column)));
      }
      saved += saved(column, values);
    }
    return saved;
  }

  private double together(List<Integer> independent, double product) {
    if (independent.size() == 1) return product;
    int last = independent.get(independent.size() - 1);
    long pair = independent.size() == 2 ? count(pair(independent.get(0), last)) : 0;
    // As many of the possible combinations as that many rows hit by chance.
    return pair > 0 ? pair : -rows * Math.expm1(-product / rows);
  }
}
