package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** T14: slots against a plain list of who was read when. */
class SlotTableTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final int CASES = 20_000;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** Chunks with their slots, and the chunks by their last use, the oldest first. */
  private static final class Model {
    final Map<Long, Integer> slots = new HashMap<>();
    final List<Long> uses = new ArrayList<>();
    int capacity;

    void resize(int to) {
      slots.values().removeIf(slot -> slot >= to);
      uses.removeIf(chunk -> !slots.containsKey(chunk));
      capacity = to;
    }

    void use(long chunk) {
      uses.remove(chunk);
      uses.add(chunk);
    }
  }

  /** One step of rows that pick {@code k} of {@code n} chunks each. */
  private static void step(
      SlotTable table, Model model, long number, List<Set<Long>> rows, int[] counts) {
    Map<Long, Integer> ofStep = new HashMap<>();
    for (Set<Long> row : rows) {
      for (long chunk : row) {
        Integer known = model.slots.get(chunk);
        int slot = table.find(chunk, number);
        assertThat(slot).as("chunk %d", chunk).isEqualTo(known == null ? -1 : known);
        if (known == null) {
          boolean full = model.slots.size() == model.capacity;
          slot = table.take(chunk, number);
          assertThat(slot).isBetween(0, model.capacity - 1);
          if (full) {
            long oldest = model.uses.remove(0);
            assertThat(ofStep).as("chunks of this step").doesNotContainKey(oldest);
            assertThat(slot).as("slot of the oldest").isEqualTo(model.slots.remove(oldest));
          } else {
            assertThat(model.slots.values()).as("slots in use").doesNotContain(slot);
          }
          model.slots.put(chunk, slot);
          counts[1]++;
        } else {
          counts[0]++;
        }
        model.use(chunk);
        ofStep.put(chunk, slot);
      }
    }
    assertThat(model.slots.size()).isLessThanOrEqualTo(model.capacity);
    assertThat(new HashSet<>(ofStep.values())).as("a slot each").hasSameSizeAs(ofStep.keySet());
    assertThat(model.slots).as("kept to the end of the step").containsAllEntriesOf(ofStep);
  }

  private static List<Set<Long>> rows(Random random, int k, int batch, int chunks) {
    List<Set<Long>> rows = new ArrayList<>();
    for (int r = 0; r < batch; r++) {
      Set<Long> row = new LinkedHashSet<>();
      while (row.size() < k) row.add((long) (random.nextDouble() * random.nextDouble() * chunks));
      rows.add(row);
    }
    return rows;
  }

  @Test
  void slotsAreThoseOfAListOfUses() {
    Random random = new Random(SEED);
    int[] counts = new int[2];
    int[] ks = {1, 2, 7, 16, 64};
    int[] batches = {1, 4, 32};
    int cases = 0;
    while (cases < CASES) {
      int k = ks[random.nextInt(ks.length)];
      int batch = batches[random.nextInt(batches.length)];
      if (k * batch > 256 && random.nextInt(16) > 0) continue; // those take long
      SlotTable table = new SlotTable();
      Model model = new Model();
      int least = k * batch;
      int chunks = k + random.nextInt(4 * least);
      for (int i = 0; i < 8; i++, cases++) {
        if (i == 0 || random.nextInt(4) == 0) {
          int to = least + random.nextInt(1 + least / 2);
          table.resize(to);
          model.resize(to);
        }
        step(table, model, i + 1, rows(random, k, batch, chunks), counts);
      }
    }
    System.out.printf("%d steps: %d hits, %d misses%n", cases, counts[0], counts[1]);
    assertThat(counts[0]).isPositive();
    assertThat(counts[1]).isPositive();
  }

  @Test
  void slotsThatAreTakenAwayAndGivenAgainAreEmpty() {
    SlotTable table = new SlotTable();
    table.resize(16);
    for (long chunk = 0; chunk < 16; chunk++) table.take(chunk, 1);
    table.resize(8);
    table.resize(16);
    Set<Integer> slots = new HashSet<>();
    int kept = 0;
    for (long chunk = 0; chunk < 16; chunk++) {
      int slot = table.find(chunk, 2);
      if (slot < 0) slot = table.take(chunk, 2);
      else kept++;
      slots.add(slot);
    }
    assertThat(kept).isEqualTo(8);
    assertThat(slots).hasSize(16);
  }

  @Test
  void aStepThatReadsMoreThanThereAreSlotsIsAnError() {
    SlotTable table = new SlotTable();
    table.resize(3);
    table.take(9, 1);
    table.take(1, 2);
    table.take(2, 2);
    table.take(3, 2); // in place of 9
    assertThat(table.find(9, 2)).isEqualTo(-1);
    SlotTable one = new SlotTable();
    one.resize(1);
    one.take(1, 1);
    assertThat(one.find(1, 2)).isZero(); // read in step 2: stays
    assertThatThrownBy(() -> one.take(2, 2)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> table.take(4, 2))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("3 chunks");
  }
}
