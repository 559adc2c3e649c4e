package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.junit.jupiter.api.Test;

/** Fields as JSON, and the order that lets prompts share most; without Spark. */
class FieldOrderTest {

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String HOSTILE =
      "a\"b\\\n},\n{\"c\": {fields} {{x}} \u2028 \u0000 \ud83d\ude00";

  /** Goal: in any order the object is the same, numbers are numbers, and names are kept. */
  @Test
  void anyOrderIsTheSameObject() throws IOException {
    byte[] text = HOSTILE.getBytes(StandardCharsets.UTF_8);
    Row row =
        RowFactory.create(text, 7, 1L << 60, 0.25, true, null, new BigDecimal("12.50"), Double.NaN);
    PromptFields fields =
        PromptFields.given(List.of("te\"xt", "i", "long", "double", "flag", "none", "d", "nan"));
    JsonNode first = JSON.readTree(fields.text(row, 0));
    assertThat(first.get("te\"xt").textValue()).isEqualTo(HOSTILE);
    assertThat(first.get("i").intValue()).isEqualTo(7);
    assertThat(first.get("long").longValue()).isEqualTo(1L << 60);
    assertThat(first.get("double").doubleValue()).isEqualTo(0.25);
    assertThat(first.get("flag").booleanValue()).isTrue();
    assertThat(first.get("none").isNull()).isTrue();
    assertThat(first.get("d").decimalValue()).isEqualByComparingTo("12.5");
    assertThat(first.get("nan").textValue()).isEqualTo("NaN");
    for (long seed = 0; seed < 50; seed++) {
      List<Integer> order = new ArrayList<>(fields.order());
      Collections.shuffle(order, new Random(seed));
      String shuffled = fields.in(order).text(row, 0);
      assertThat(JSON.readTree(shuffled)).as("seed %d", seed).isEqualTo(first);
      assertThat(shuffled.lines()).as("seed %d", seed).hasSize(10);
      List<String> names = new ArrayList<>();
      JSON.readTree(shuffled).fieldNames().forEachRemaining(names::add);
      assertThat(names).as("seed %d", seed).isEqualTo(fields.in(order).ordered());
    }
  }

  /** Goal: what a value holds is never a placeholder, and fields stand where the template says. */
  @Test
  void valuesAreNoPlaceholders() {
    String object = PromptFields.given(List.of("a")).text(RowFactory.create(HOSTILE), 0);
    PromptTemplate inside = PromptTemplate.withFields("In {fields} find {a}, {{braces}}");
    assertThat(inside.columns()).containsExactly("fields", "a");
    assertThat(inside.fill(List.of(object, HOSTILE)))
        .isEqualTo("In " + object + " find " + HOSTILE + ", {braces}");
    assertThat(PromptTemplate.withFields("Sum up:").fill(List.of(object)))
        .isEqualTo("Sum up:\n" + object);
    assertThat(PromptTemplate.withFields(null).fill(List.of(object))).isEqualTo(object);
  }

  /**
   * Goal: the order is nearly the best of all for nearly all tables, and hardly ever worse than the
   * given one. It may be a little worse because values that differ can begin alike.
   */
  @Test
  void theOrderIsNearlyTheBest() {
    int seeds = 300;
    int best = 0;
    int half = 0;
    double sum = 0;
    double least = 1;
    for (long seed = 0; seed < seeds; seed++) {
      List<Row> rows = FieldTables.random(new Random(seed));
      PromptFields given = FieldTables.fields(rows);
      List<List<String>> lines = FieldTables.lines(rows, given);
      List<Integer> chosen = planned(rows, given).fields().order();
      long most = 0;
      for (List<Integer> order : FieldTables.orders(given.names().size())) {
        most = Math.max(most, FieldTables.shared(lines, order));
      }
      double share = (double) FieldTables.shared(lines, chosen) / most;
      double before = (double) FieldTables.shared(lines, given.order()) / most;
      assertThat(share).as("seed %d: of the given order's", seed).isGreaterThan(before * 0.95);
      if (share > 0.99) best++;
      if (before < 0.5) half++;
      sum += share;
      least = Math.min(least, share);
    }
    assertThat(best).as("within 1 %% of the best").isGreaterThan(seeds * 95 / 100);
    assertThat(sum / seeds).as("mean share of the best").isGreaterThan(0.99);
    assertThat(least).as("least share of the best").isGreaterThan(0.9);
    assertThat(half).as("tables that gain twice").isGreaterThan(seeds / 4);
  }

  /** Goal: columns that say each other are found, and stand together even where each is small. */
  @Test
  void dependentColumnsAreGlued() {
    for (long seed = 0; seed < 20; seed++) {
      Random random = new Random(seed);
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        int product = random.nextInt(40);
        String text = "description of product " + product * 7919 + " ".repeat(100);
        rows.add(RowFactory.create("p" + product, "word " + random.nextInt(40), "own " + i, text));
      }
      FieldPlan plan = planned(rows, PromptFields.given(List.of("id", "other", "own", "text")));
      assertThat(plan.measured().glued(0)).as("seed %d", seed).containsExactly(3);
      assertThat(plan.measured().glued(3)).as("seed %d", seed).containsExactly(0);
      assertThat(plan.measured().glued(1)).as("seed %d", seed).isEmpty();
      assertThat(plan.fields().ordered().subList(0, 2))
          .as("seed %d", seed)
          .containsExactlyInAnyOrder("id", "text");
      assertThat(plan.fields().ordered()).as("seed %d", seed).endsWith("other", "own");
    }
  }

  /** Goal: where no order is better, the user's stays. */
  @Test
  void equalColumnsStayAsGiven() {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 90; i++) rows.add(RowFactory.create("x" + i, "y" + i % 3, "z" + i % 3));
    FieldPlan plan = planned(rows, PromptFields.given(List.of("x", "y", "z")));
    assertThat(plan.fields().ordered()).containsExactly("y", "z", "x");
    for (Row row : rows.subList(0, 2)) {
      FieldPlan one = planned(List.of(row), PromptFields.given(List.of("z", "y", "x")));
      assertThat(one.fields().ordered()).containsExactly("z", "y", "x");
    }
  }

  private static FieldPlan planned(List<Row> rows, PromptFields given) {
    return FieldPlan.of(given, sets -> FieldTables.counted(rows, given, sets));
  }
}
