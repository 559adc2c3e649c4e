package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Random;
import java.util.Set;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.junit.jupiter.api.Test;

class PlannedRowsTest {

  private static final Sharing SORTED = new Sharing(PrefixPlan.ON, Dedup.OFF, 0);
  private static final Sharing PLAIN = new Sharing(PrefixPlan.OFF, Dedup.OFF, 0);

  private static final byte[] NOTHING = {};

  private static Row row(String id, String prompt) {
    byte[] bytes = prompt.getBytes(StandardCharsets.UTF_8);
    byte[] signature = PrefixSignature.of(bytes);
    Prepared prepared = new Prepared(id, "key " + id, bytes, "{}", signature, 1, null);
    return PreparedRows.row(RowFactory.create(), 0, prepared);
  }

  private static Row broken(String id) {
    RowException error = new RowException(ErrorCode.EMPTY_PROMPT, "input", "no characters");
    Prepared prepared = new Prepared(id, "key " + id, null, "{}", NOTHING, 1, error);
    return PreparedRows.row(RowFactory.create(), 0, prepared);
  }

  private static List<Row> sorted(List<Row> rows) {
    List<Row> sorted = new ArrayList<>(rows);
    sorted.sort((a, b) -> Arrays.compareUnsigned((byte[]) a.get(4), (byte[]) b.get(4)));
    return sorted;
  }

  /** Goal: each row comes once and in order with its group; rows with errors have none. */
  @Test
  void rowsKeepTheirOrderAndNameTheirGroup() {
    for (long seed = 0; seed < 50; seed++) {
      Random random = new Random(seed);
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < 2_500; i++) {
        int topic = random.nextInt(12);
        boolean alone = topic == 0;
        String text = ((alone ? "r" + i : "topic " + topic) + " ").repeat(40 + topic) + i % 900;
        rows.add(random.nextInt(9) == 0 ? broken("" + i) : row("" + i, text));
      }
      PlannedRows planned = new PlannedRows(sorted(rows).iterator(), SORTED, 0);
      Set<String> seen = new HashSet<>();
      Map<String, Integer> runs = new HashMap<>();
      String before = null;
      byte[] last = NOTHING;
      while (planned.hasNext()) {
        PlannedRows.Planned row = planned.next();
        assertThat(seen.add(row.prepared().id())).as("seed %d", seed).isTrue();
        if (row.prepared().error() != null) {
          assertThat(row.group().name()).isNull();
          continue;
        }
        byte[] signature = row.prepared().signature();
        assertThat(Arrays.compareUnsigned(last, signature)).isNotPositive();
        last = signature;
        if (row.group().name() != null && !row.group().name().equals(before)) {
          runs.merge(row.group().name(), 1, Integer::sum);
        }
        before = row.group().name();
      }
      assertThat(seen).as("seed %d", seed).hasSize(2_500);
      assertThat(runs).as("seed %d", seed).hasSizeGreaterThanOrEqualTo(11);
      assertThat(runs.values()).as("seed %d", seed).containsOnly(1);
    }
  }

  /** Goal: without a plan rows come as they are, sorted or not. */
  @Test
  void withoutAPlanRowsStayAsTheyAre() {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 40; i++)
      rows.add(i % 5 == 0 ? broken("" + i) : row("" + i, "x".repeat(999)));
    PlannedRows planned = new PlannedRows(rows.iterator(), PLAIN, 0);
    for (int i = 0; i < 40; i++) {
      PlannedRows.Planned row = planned.next();
      assertThat(row.prepared().id()).isEqualTo("" + i);
      assertThat(row.group().name()).isNull();
    }
    assertThat(planned.hasNext()).isFalse();
    assertThatThrownBy(planned::next).isInstanceOf(NoSuchElementException.class);
  }

  /** Goal: a partition of nothing but errors, or of nothing, ends as others do. */
  @Test
  void partitionsWithoutPromptsEnd() {
    PlannedRows errors = new PlannedRows(List.of(broken("a")).iterator(), SORTED, 0);
    assertThat(errors.next().prepared().id()).isEqualTo("a");
    assertThat(errors.hasNext()).isFalse();
    assertThat(new PlannedRows(List.<Row>of().iterator(), SORTED, 0).hasNext()).isFalse();
  }
}
