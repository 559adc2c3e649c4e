package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.ledger.ChunkFormat;
import io.shadowbatch.ledger.StoreSettings;
import io.shadowbatch.spark.InferenceRows.Finished;
import io.shadowbatch.spark.JobConfig.Dedup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Attempts of one partition that run at the same time, step by step in random order. */
class ChunkWriterTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261201L);
  private static final StructField KEPT =
      DataTypes.createStructField("note", DataTypes.StringType, true);

  @TempDir Path folder;

  /** An attempt that can be made to go on for a row, or to die. */
  private static final class Attempt {
    private final ChunkWriter chunks;
    private final Iterator<Finished> rows;
    private final PartitionRuns runs = new PartitionRuns();

    Attempt(Commits commits, List<Row> input, Random random) {
      chunks = ChunkWriter.open(commits, 0, runs.counters);
      FakeModel model = new FakeModel(l -> random.nextInt(l.size()), -1);
      List<Row> own = new ArrayList<>(input);
      rows = runs.partition(model, Dedup.AUTO, 0, chunks::isDone).run(own.iterator(), () -> false);
    }

    /** False once it committed all. */
    boolean step() {
      if (rows.hasNext()) {
        chunks.add(rows.next());
        return true;
      }
      chunks.commit();
      return false;
    }
  }

  private Commits commits(Path output, int rows) throws Exception {
    Files.createDirectories(output.resolve(RunFolder.NAME + "/staging/run"));
    ChunkFormat format = ChunkFormat.of(LocalSpark.spark(), CompletionTable.schema(List.of(KEPT)));
    StoreSettings store = StoreSettings.of(LocalSpark.spark().sparkContext());
    return new Commits(
        output.toUri().toString(), "run", Commits.Series.COMPUTED, format, store, rows, 1e6);
  }

  /** Rows of which some are equal in all, some ask for several answers, and some are broken. */
  private static List<Row> input(Random random, PartitionRuns runs) {
    List<Row> rows = new ArrayList<>();
    int count = 1 + random.nextInt(40);
    for (int i = 0; i < count; i++) {
      String id = "row " + random.nextInt(1 + count / 2);
      int n = 1 + random.nextInt(3);
      Row row =
          random.nextInt(8) == 0
              ? runs.broken(id)
              : runs.row(id, "prompt of " + id, Map.of("n", n, "temperature", 0.5));
      rows.add(row);
    }
    return PartitionRuns.sorted(rows);
  }

  /** Goal: whatever attempts do and wherever they die, each row is there once, whole. */
  @Test
  void attemptsTogetherCommitEachRowOnce() throws Exception {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    for (int round = 0; round < 25; round++) {
      Random random = new Random(SEED + round);
      PartitionRuns plain = new PartitionRuns();
      List<Row> input = input(random, plain);
      List<Row> expected = plain.run(input.iterator(), new FakeModel(l -> 0, -1), Dedup.OFF);
      Path output = folder.resolve("out" + round);
      Commits commits = commits(output, 1 + random.nextInt(12));
      Attempt last = race(commits, input, random);
      List<Row> found = LocalSpark.spark().read().parquet(output.toString()).collectAsList();
      assertThat(names(found)).as("round %d", round).isEqualTo(names(expected));
      assertThat(last.runs.counters.sum().get(Tally.ROWS)).isEqualTo(expected.size());
      assertThat(last.runs.counters.sum().under(Tally.ERROR))
          .isEqualTo(plain.counters.sum().under(Tally.ERROR));
    }
  }

  /** Runs attempts until one commits all; that one. */
  private static Attempt race(Commits commits, List<Row> input, Random random) {
    List<Attempt> alive = new ArrayList<>();
    for (int steps = 0; ; steps++) {
      boolean more = alive.size() < 3 && random.nextInt(6) == 0;
      if (alive.isEmpty() || more) alive.add(new Attempt(commits, input, random));
      Collections.shuffle(alive, random);
      Attempt next = alive.get(0);
      if (!next.step()) return next;
      if (steps < 200 && random.nextInt(15) == 0) alive.remove(0); // dies with what it held
    }
  }

  private static Map<String, Integer> names(List<Row> rows) {
    Map<String, Integer> names = new TreeMap<>();
    for (Row r : rows) {
      List<Object> tokens = new ArrayList<>();
      Object ids = r.get(13);
      if (ids instanceof Object[] array) tokens.addAll(List.of(array));
      else tokens.addAll(r.getList(13));
      String name = r.get(0) + "/" + r.get(2) + " " + r.get(3) + " " + r.get(4) + " " + tokens;
      names.merge(name, 1, Integer::sum);
    }
    return names;
  }
}
