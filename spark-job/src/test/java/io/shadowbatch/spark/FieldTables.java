package io.shadowbatch.spark;

import io.shadowbatch.spark.FieldStatistics.Fact;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/** Small random tables, and slow and plain ways to see what an order of their columns saves. */
final class FieldTables {

  private FieldTables() {}

  /**
   * 2 to 5 columns: constant, few values (even or skewed), determined by the one before, or unique.
   */
  static List<Row> random(Random random) {
    int columns = 2 + random.nextInt(4);
    int rows = 20 + random.nextInt(300);
    Object[][] cells = new Object[rows][columns];
    for (int c = 0; c < columns; c++) {
      int kind = random.nextInt(5);
      int values = kind == 0 ? 1 : kind == 4 ? 1 << 20 : 2 + random.nextInt(rows / 2);
      String[] texts = new String[Math.min(values, 1 << 12)];
      int length = 1 << random.nextInt(9);
      for (int v = 0; v < texts.length; v++) texts[v] = text(random, length);
      for (Object[] row : cells) {
        if (kind == 3 && c > 0) {
          row[c] = texts[Math.floorMod(row[c - 1].hashCode(), texts.length)];
        } else {
          double at = random.nextDouble();
          row[c] = texts[(int) ((kind == 2 ? at * at * at : at) * texts.length)];
        }
      }
    }
    return Arrays.stream(cells).map(RowFactory::create).toList();
  }

  private static String text(Random random, int length) {
    int own = Math.max(1, length / 2 + random.nextInt(length));
    StringBuilder text = new StringBuilder();
    while (text.length() < own) text.append((char) ('a' + random.nextInt(26)));
    return text.toString();
  }

  static PromptFields fields(List<Row> rows) {
    List<String> names = new ArrayList<>();
    for (int c = 0; c < rows.get(0).size(); c++) names.add("column_" + c);
    return PromptFields.given(names);
  }

  /** Exact facts of sets of columns. */
  static Map<List<Integer>, Fact> counted(
      List<Row> rows, PromptFields fields, List<List<Integer>> sets) {
    Map<List<Integer>, Fact> facts = new HashMap<>();
    for (List<Integer> set : sets) {
      Set<List<Object>> seen = new HashSet<>();
      long bytes = 0;
      for (Row row : rows) {
        seen.add(set.stream().map(row::get).toList());
        for (int c : set) bytes += fields.line(row, 0, c).length() + 2;
      }
      facts.put(set, new Fact(rows.size(), bytes, seen.size()));
    }
    return facts;
  }

  /** Each row's fields as they are written. */
  static List<List<String>> lines(List<Row> rows, PromptFields fields) {
    return rows.stream()
        .map(row -> fields.order().stream().map(f -> fields.line(row, 0, f) + ",\n").toList())
        .toList();
  }

  /** Bytes that sorted prompts share with the one before, their lines in that order. */
  static long shared(List<List<String>> rows, List<Integer> order) {
    List<byte[]> texts = new ArrayList<>();
    for (List<String> lines : rows) {
      StringBuilder text = new StringBuilder();
      for (int field : order) text.append(lines.get(field));
      texts.add(text.toString().getBytes(StandardCharsets.UTF_8));
    }
    texts.sort(Arrays::compareUnsigned);
    long shared = 0;
    for (int i = 1; i < texts.size(); i++) {
      int at = Arrays.mismatch(texts.get(i - 1), texts.get(i));
      shared += at < 0 ? texts.get(i).length : at;
    }
    return shared;
  }

  /** All orders of so many columns. */
  static List<List<Integer>> orders(int columns) {
    List<List<Integer>> orders = List.of(List.of());
    for (int c = 0; c < columns; c++) {
      List<List<Integer>> longer = new ArrayList<>();
      for (List<Integer> order : orders) {
        for (int at = 0; at <= c; at++) {
          List<Integer> one = new ArrayList<>(order);
          one.add(at, c);
          longer.add(one);
        }
      }
      orders = longer;
    }
    return orders;
  }
}
