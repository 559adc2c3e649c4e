package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;

/**
 * Columns as one JSON object, a line for each: numbers and truth values as such, nulls as null, all
 * else as text. Names and values are escaped, so that no value can end the object or its line.
 *
 * @param names of the columns, in the order in which the user gave them
 * @param order indexes of names in the order in which they are written
 */
record PromptFields(List<String> names, List<Integer> order) implements Serializable {

  private static final long serialVersionUID = 1L;

  /** First of the columns with the values, which follow each other as the names do. */
  static final String FIRST = column(0);

  private static final ObjectMapper JSON =
      new ObjectMapper().configure(JsonGenerator.Feature.WRITE_BIGDECIMAL_AS_PLAIN, true);

  PromptFields {
    names = new ArrayList<>(names);
    order = new ArrayList<>(order);
  }

  /** Fields in the order of their names. */
  static PromptFields given(List<String> names) {
    return new PromptFields(names, IntStream.range(0, names.size()).boxed().toList());
  }

  /** Name of the column with the values of the field of that index. */
  static String column(int field) {
    return PromptTable.PREFIX + "field_" + field;
  }

  /** The same fields in another order. */
  PromptFields in(List<Integer> newOrder) {
    return new PromptFields(names, newOrder);
  }

  /** Names in the order in which they are written. */
  List<String> ordered() {
    return order.stream().map(names::get).toList();
  }

  /** The object of a row; {@code first} is the index of column {@link #FIRST}. */
  String text(Row row, int first) {
    StringBuilder out = new StringBuilder("{\n");
    for (int i = 0; i < order.size(); i++) {
      if (i > 0) out.append(",\n");
      out.append(line(row, first, order.get(i)));
    }
    return out.append("\n}").toString();
  }

  /** Name and value of one field, without a comma. */
  String line(Row row, int first, int field) {
    String name = names.get(field);
    Object value = row.get(first + field);
    return json(name) + ": " + json(value instanceof byte[] b ? Utf8.decode(b, name) : value);
  }

  private static String json(Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("texts, numbers and truth values have a JSON form", e);
    }
  }
}
