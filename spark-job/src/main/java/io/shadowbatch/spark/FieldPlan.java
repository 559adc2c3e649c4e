package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.plan.ColumnOrder;
import io.shadowbatch.spark.FieldStatistics.Fact;
import io.shadowbatch.spark.JobConfig.FieldOrder;
import io.shadowbatch.spark.JobException.Exit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * The order in which fields are written into prompts, and why. All commands settle it the same way,
 * from the whole input, so that {@code plan} shows the prompts that {@code run} computes.
 *
 * @param fields in their order
 * @param measured what was measured for it; null if the order is the user's
 */
record FieldPlan(PromptFields fields, ColumnOrder measured) {

  /** The table with its fields in the order that the user wants. */
  static PromptTable settle(PromptTable table, FieldOrder order) {
    PromptFields given = table.reader().fields();
    if (given == null || order == FieldOrder.GIVEN) return table;
    try {
      Dataset<Row> values = values(table.rows(), given);
      return table.with(of(given, sets -> FieldStatistics.of(values, given, sets)));
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      JobException own = Failures.cause(e, JobException.class);
      if (own != null) throw own;
      throw new JobException(Exit.INPUT, "--input: cannot be read: " + Failures.firstLine(e), e);
    }
  }

  private static Dataset<Row> values(Dataset<Row> rows, PromptFields given) {
    List<Column> columns = new ArrayList<>();
    for (int f = 0; f < given.names().size(); f++) columns.add(col(PromptFields.column(f)));
    return rows.select(columns.toArray(new Column[0]));
  }

  /**
   * Three passes at most: single fields and the given order; pairs; the best order by these. That
   * one is taken only if it was measured to save more than the given one.
   *
   * @param measure the facts of sets of fields
   */
  static FieldPlan of(
      PromptFields given, Function<List<List<Integer>>, Map<List<Integer>, Fact>> measure) {
    Set<List<Integer>> first = new LinkedHashSet<>(ColumnOrder.singles(given.names().size()));
    first.addAll(ColumnOrder.prefixes(given.order()));
    Map<List<Integer>, Fact> facts = new HashMap<>(measure.apply(List.copyOf(first)));
    if (facts.isEmpty()) return new FieldPlan(given, null);
    add(facts, known(facts, given).pairs(), measure);
    List<Integer> best = known(facts, given).best();
    add(facts, ColumnOrder.prefixes(best), measure);
    ColumnOrder measured = known(facts, given);
    boolean better = measured.shared(best) > measured.shared(given.order());
    return new FieldPlan(better ? given.in(best) : given, measured);
  }

  private static void add(
      Map<List<Integer>, Fact> facts,
      List<List<Integer>> sets,
      Function<List<List<Integer>>, Map<List<Integer>, Fact>> measure) {
    List<List<Integer>> unknown = sets.stream().filter(s -> !facts.containsKey(s)).toList();
    if (!unknown.isEmpty()) facts.putAll(measure.apply(unknown));
  }

  private static ColumnOrder known(Map<List<Integer>, Fact> facts, PromptFields given) {
    long rows = facts.get(List.of(0)).rows();
    List<Double> bytes = new ArrayList<>();
    for (int f = 0; f < given.names().size(); f++) {
      bytes.add((double) facts.get(List.of(f)).bytes() / rows);
    }
    Map<List<Integer>, Long> distinct = new HashMap<>();
    facts.forEach((set, fact) -> distinct.put(set, fact.distinct()));
    return new ColumnOrder(rows, bytes, distinct);
  }

  /** A table's order, and what was measured for it, as people and files see it; empty if none. */
  static Map<String, Object> described(PromptTable table) {
    return table.fields() == null ? Map.of() : table.fields().described();
  }

  private Map<String, Object> described() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("field_order", fields.ordered());
    if (measured == null) return map;
    List<Integer> given = PromptFields.given(fields.names()).order();
    map.put("field_order_given", fields.names());
    map.put("field_bytes_shared", rounded(measured.shared(fields.order())));
    map.put("field_bytes_shared_given", rounded(measured.shared(given)));
    List<Map<String, Object>> statistics = new ArrayList<>();
    for (int field : fields.order()) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("field", fields.names().get(field));
      one.put("mean_bytes", rounded(measured.bytes().get(field)));
      one.put("distinct", measured.distinct().get(List.of(field)));
      one.put("score", rounded(measured.score(field)));
      one.put("glued_with", measured.glued(field).stream().map(fields.names()::get).toList());
      statistics.add(one);
    }
    map.put("field_statistics", statistics);
    return map;
  }

  private static double rounded(double value) {
    return Math.round(value * 10) / 10.0;
  }
}
