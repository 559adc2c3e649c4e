package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.junit.jupiter.api.Test;
import scala.jdk.javaapi.CollectionConverters;

class RowKeyTest {
  private static String key(Object... kept) {
    return RowKey.of("k", "id", kept);
  }

  /** Goal: lists of values that differ in anything have different names. */
  @Test
  void whatDiffersHasAnotherName() {
    List<Object[]> all =
        List.of(
            new Object[] {},
            new Object[] {null},
            new Object[] {null, null},
            new Object[] {""},
            new Object[] {"a", "b"},
            new Object[] {"ab", ""},
            new Object[] {"", "ab"},
            new Object[] {"1"},
            new Object[] {1},
            new Object[] {1L},
            new Object[] {1.0},
            new Object[] {new byte[] {1}},
            new Object[] {RowFactory.create(1)},
            new Object[] {RowFactory.create("a"), "b"},
            new Object[] {RowFactory.create("a", "b")},
            new Object[] {List.of("a", "b")},
            new Object[] {List.of("a"), "b"},
            new Object[] {Map.of("a", 1, "b", 2)},
            new Object[] {Map.of("a", 2, "b", 1)});
    Set<String> names = new TreeSet<>();
    for (Object[] values : all) names.add(RowKey.of("k", "id", values));
    names.add(RowKey.of("k", null, new Object[0]));
    names.add(RowKey.of("l", "id", new Object[0]));
    assertThat(names).hasSize(all.size() + 2).allMatch(n -> n.matches("[0-9a-f]{32}"));
  }

  /** Goal: the same values have one name, whatever holds them and in whatever order. */
  @Test
  void whatIsEqualHasOneName() {
    Map<String, Integer> one = new LinkedHashMap<>();
    Map<String, Integer> other = new LinkedHashMap<>();
    for (int i = 0; i < 9; i++) one.put("k" + i, i);
    for (int i = 8; i >= 0; i--) other.put("k" + i, i);
    assertThat(key(one)).isEqualTo(key(other)).isEqualTo(key(CollectionConverters.asScala(one)));
    List<Row> rows = List.of(RowFactory.create("a", 1));
    assertThat(key(rows))
        .isEqualTo(key(CollectionConverters.asScala(rows)))
        .isEqualTo(key((Object) rows.toArray()))
        .isEqualTo(key(Arrays.asList(rows.toArray())));
  }
}
