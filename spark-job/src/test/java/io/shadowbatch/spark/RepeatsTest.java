package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.plan.CollidingSignatures;
import io.shadowbatch.spark.InferenceRows.Finished;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** Equal requests are computed once, and nobody can tell but by the columns that say so. */
class RepeatsTest {

  private final PartitionRuns runs = new PartitionRuns();

  private static FakeModel model(Random random) {
    return new FakeModel(l -> random.nextInt(l.size()), -1);
  }

  private static FakeModel inOrder() {
    return new FakeModel(l -> 0, -1);
  }

  /** Rows of few prompts and parameters, some without any, some that fail in each way. */
  private List<Row> mixed(Random random) {
    List<Map<String, ?>> params =
        List.of(
            Map.of(),
            Map.of("max_tokens", 5),
            Map.of("n", 3),
            Map.of("temperature", 0.7),
            Map.of("temperature", 0.7, "seed", 4),
            Map.of("temperature", 0.7, "n", 2));
    List<Row> rows = new ArrayList<>();
    int count = random.nextInt(600);
    for (int i = 0; i < count; i++) {
      int topic = (int) Math.abs(random.nextGaussian() * 12);
      String prompt = ("topic " + topic % 5 + " ").repeat(60) + topic;
      if (topic % 7 == 3) prompt = FakeModel.FAILS + prompt;
      if (topic % 7 == 5) prompt = FakeModel.NO_TOKENS + prompt;
      Map<String, ?> own = params.get(random.nextInt(params.size()));
      rows.add(random.nextInt(12) == 0 ? runs.broken("" + i) : runs.row("" + i, prompt, own));
    }
    return rows;
  }

  private static List<String> answers(List<Row> rows) {
    return rows.stream().map(PartitionRuns::answer).sorted().toList();
  }

  /** The sorted rows in so many pieces, as a range shuffle cuts them. */
  private List<Row> run(List<Row> rows, Dedup dedup, int pieces, Random random) {
    List<Row> out = new ArrayList<>();
    List<Row> sorted = PartitionRuns.sorted(rows);
    int from = 0;
    for (int p = 1; p <= pieces; p++) {
      int to = p == pieces ? sorted.size() : from + random.nextInt(sorted.size() - from + 1);
      out.addAll(runs.run(sorted.subList(from, to).iterator(), model(random), dedup));
      from = to;
    }
    return out;
  }

  /** Goal: every row gets its own answers, the same with and without copies, in any partitions. */
  @Test
  void everyRowGetsItsOwnAnswers() {
    for (long seed = 0; seed < 150; seed++) {
      Random random = new Random(seed);
      List<Row> rows = mixed(random);
      List<Row> computed = run(rows, Dedup.OFF, 1, random);
      assertThat(computed).as("seed %d", seed).noneMatch(PartitionRuns::copied);
      List<String> expected = answers(computed);
      for (int pieces = 1; pieces <= 3; pieces++) {
        List<Row> out = run(rows, Dedup.AUTO, pieces, random);
        assertThat(answers(out)).as("seed %d, %d pieces", seed, pieces).isEqualTo(expected);
        for (Row row : out) {
          assertThat(row.getString(3)).isEqualTo("kept " + PartitionRuns.id(row));
          if (!PartitionRuns.copied(row)) continue;
          Row usage = row.getStruct(PartitionRuns.USAGE);
          assertThat(usage.getLong(3)).as("cached").isEqualTo(usage.getLong(0));
          assertThat(row.getStruct(PartitionRuns.TIMING).getDouble(3)).as("time").isZero();
        }
      }
    }
  }

  /** Goal: one request goes to the engine for each distinct one and sample, errors included. */
  @Test
  void equalRequestsAreComputedOnce() {
    for (long seed = 0; seed < 100; seed++) {
      Random random = new Random(seed);
      List<Row> rows = mixed(random);
      FakeModel model = model(random);
      List<Row> out = runs.run(PartitionRuns.sorted(rows).iterator(), model, Dedup.AUTO);
      Set<String> distinct = new HashSet<>();
      Set<String> encoded = new HashSet<>();
      for (Row row : out) {
        String code =
            row.isNullAt(PartitionRuns.ERROR)
                ? ""
                : row.getStruct(PartitionRuns.ERROR).getString(0);
        if (code.equals("BAD_INPUT")) continue;
        String request = row.getString(1) + "/" + row.getInt(2);
        distinct.add(request);
        if (!code.equals("TOKENIZE_ERROR")) encoded.add(request);
      }
      long broken = out.stream().filter(r -> r.getString(1).equals("0".repeat(32))).count();
      assertThat(model.asked).as("seed %d", seed).isEqualTo(encoded.size());
      assertThat(out.stream().filter(r -> !PartitionRuns.copied(r)).count())
          .as("seed %d", seed)
          .isEqualTo(distinct.size() + broken);
    }
  }

  /** Goal: equal prompts of any number stream: few are read before others have left. */
  @Test
  void aLongRunOfEqualPromptsStreams() {
    int count = 200_000;
    Row row = runs.row("x", "the same for all", Map.of("n", 2));
    int[] read = new int[1];
    Iterator<Row> rows =
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return read[0] < count;
          }

          @Override
          public Row next() {
            read[0]++;
            return row;
          }
        };
    FakeModel model = inOrder();
    Iterator<Finished> out = runs.partition(model, Dedup.AUTO, 0).run(rows, () -> false);
    int written = 0;
    int held = 0;
    for (; out.hasNext(); written++) {
      out.next();
      held = Math.max(held, read[0] - written / 2);
    }
    assertThat(written).isEqualTo(2 * count);
    assertThat(model.asked).isEqualTo(2);
    // What waits, what the planner holds, and what is ready.
    assertThat(held).isLessThanOrEqualTo(Repeats.WAITING_MAX + 1024 + 256 + 2);
    assertThat(runs.counters.sum().get(Tally.COPIED_ROWS)).isEqualTo(2 * (count - 1));
    assertThat(runs.counters.sum().get(Tally.COPIED_TOKENS)).isEqualTo(4 * (count - 1));
    assertThat(runs.counters.sum().get(Tally.ROWS)).isEqualTo(2 * count);
  }

  /** Goal: rows that fail at once stream as well, however many there are. */
  @Test
  void aLongRunOfBrokenRowsStreams() {
    int count = 100_000;
    int[] read = new int[1];
    Row broken = runs.broken("x");
    Iterator<Row> rows =
        IntStream.range(0, count)
            .mapToObj(
                i -> {
                  read[0]++;
                  return broken;
                })
            .iterator();
    Iterator<Finished> out = runs.partition(inOrder(), Dedup.AUTO, 0).run(rows, () -> false);
    for (int written = 0; written < count; written++) {
      assertThat(out.hasNext()).isTrue();
      assertThat(read[0] - written).isLessThanOrEqualTo(1024);
      out.next();
    }
    assertThat(out.hasNext()).isFalse();
    assertThatThrownBy(out::next).isInstanceOf(NoSuchElementException.class);
  }

  /** Goal: copies of a request that runs long wait for it, and the rows behind them do not. */
  @Test
  void copiesWaitAndOthersGoOn() {
    for (int copies : new int[] {1, 900, 5_000}) {
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < 500; i++) rows.add(runs.row("o" + i, "other " + i, Map.of()));
      Row least = PartitionRuns.sorted(rows).get(0);
      int name = 0;
      while (PartitionRuns.sorted(List.of(least, runs.row("", "long " + name, Map.of()))).get(0)
          == least) {
        name++;
      }
      for (int i = 0; i <= copies; i++) rows.add(runs.row("c" + i, "long " + name, Map.of()));
      rows = PartitionRuns.sorted(rows);
      assertThat(rows.get(0).getString(1)).isEqualTo("c0");
      FakeModel slow = new FakeModel(l -> l.size() - 1, -1);
      List<Row> out = runs.run(rows.iterator(), slow, Dedup.AUTO);
      assertThat(out).hasSize(copies + 501);
      assertThat(out.stream().map(PartitionRuns::id).distinct()).hasSize(copies + 501);
      int first = IntStream.range(0, out.size()).filter(i -> isCopy(out, i)).findFirst().orElse(-1);
      if (copies < Repeats.WAITING_MAX) {
        assertThat(first).as("answers before the copies").isGreaterThanOrEqualTo(500 - 64);
      }
      assertThat(slow.asked).isEqualTo(501);
    }
  }

  private static boolean isCopy(List<Row> out, int at) {
    return PartitionRuns.copied(out.get(at));
  }

  /** Goal: a duplicate of a row that fails fails alike, without being tried. */
  @Test
  void duplicatesOfAFailedRowFailAlike() {
    for (String kind : List.of(FakeModel.FAILS, FakeModel.NO_TOKENS)) {
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < 5; i++) rows.add(runs.row("" + i, kind + " this", Map.of("n", 2)));
      FakeModel model = inOrder();
      List<Row> out = runs.run(rows.iterator(), model, Dedup.AUTO);
      assertThat(out).hasSize(10).allMatch(r -> r.getString(4).equals("error"));
      assertThat(out.stream().filter(PartitionRuns::copied)).hasSize(8);
      assertThat(out.stream().map(r -> r.getStruct(PartitionRuns.ERROR).toString()).distinct())
          .hasSize(1);
      assertThat(model.asked).isEqualTo(kind.equals(FakeModel.FAILS) ? 2 : 0);
    }
  }

  /** Goal: what is asked with other parameters or another seed is another request. */
  @Test
  void otherParametersOrSeedsAreNotMerged() {
    List<Map<String, ?>> params =
        List.of(
            Map.of(),
            Map.of("max_tokens", 2),
            Map.of("n", 2),
            Map.of("stop", List.of("a")),
            Map.of("temperature", 1.0, "seed", 1),
            Map.of("temperature", 1.0, "seed", 2),
            Map.of("temperature", 1.0));
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < params.size(); i++) rows.add(runs.row("" + i, "same", params.get(i)));
    FakeModel model = inOrder();
    List<Row> out = runs.run(PartitionRuns.sorted(rows).iterator(), model, Dedup.AUTO);
    assertThat(out).hasSize(8).noneMatch(PartitionRuns::copied);
    assertThat(model.asked).isEqualTo(8);
    rows.add(runs.row("again", "same", Map.of("temperature", 1.0, "seed", 2)));
    out = runs.run(PartitionRuns.sorted(rows).iterator(), inOrder(), Dedup.AUTO);
    assertThat(out.stream().filter(PartitionRuns::copied)).hasSize(1);
  }

  /** Goal: strangers whose hashes collide are not taken for each other. */
  @Test
  void strangersWithEqualKeysAreNotMerged() {
    byte[] prompt = {1, 2};
    Prepared one = new Prepared("a", "k", prompt, "{}", prompt, 1, null);
    Prepared equal = new Prepared("b", "k", prompt.clone(), "{}", prompt, 1, null);
    assertThat(Repeats.same(one, equal)).isTrue();
    List<Prepared> strangers =
        List.of(
            new Prepared("a", "k", new byte[] {1, 3}, "{}", prompt, 1, null),
            new Prepared("a", "k", prompt, "{ }", prompt, 1, null),
            new Prepared("a", "l", prompt, "{}", prompt, 1, null),
            new Prepared("a", "k", prompt, "{}", prompt, 2, null));
    assertThat(strangers).noneMatch(s -> Repeats.same(one, s));
  }

  /** Goal: where blocks, whole prompts and keys all collide, each row has the answer of its own. */
  @Test
  void rowsWhoseHashesAllCollideGetTheirOwnAnswers() {
    for (long seed = 0; seed < 30; seed++) {
      Random random = new Random(seed);
      List<Row> rows = new ArrayList<>();
      List<String> expected = new ArrayList<>();
      for (int i = 0; i < 120; i++) {
        String text = "%c%d ".formatted('a' + random.nextInt(26), random.nextInt(4));
        Prepared own =
            PreparedRows.read(runs.row("" + i, text.repeat(random.nextInt(600) + 1), Map.of()), 1);
        byte[] signature = CollidingSignatures.of(own.prompt(), new byte[16]);
        String key = "0".repeat(32);
        rows.add(
            PartitionRuns.row(
                new Prepared(own.id(), key, own.prompt(), own.params(), signature, 1, null)));
        List<Row> alone = List.of(rows.get(i));
        expected.add(PartitionRuns.answer(runs.run(alone.iterator(), inOrder(), Dedup.OFF).get(0)));
      }
      for (Dedup dedup : Dedup.values()) {
        assertThat(answers(run(rows, dedup, 2, random)))
            .as("seed %d, %s", seed, dedup)
            .isEqualTo(expected.stream().sorted().toList());
      }
    }
  }

  /** Goal: an attempt that ends anywhere leaves nothing behind; the next one writes every row. */
  @Test
  void aFailedAttemptLosesAndDoublesNothing() {
    for (long seed = 0; seed < 60; seed++) {
      Random random = new Random(seed);
      List<Row> rows = PartitionRuns.sorted(mixed(random));
      List<String> expected = answers(runs.run(rows.iterator(), inOrder(), Dedup.OFF));
      FakeModel dying = new FakeModel(l -> random.nextInt(l.size()), random.nextInt(40));
      InferenceRows first = runs.partition(dying, Dedup.AUTO, 0);
      Set<String> written = new TreeSet<>();
      int end = random.nextInt(rows.size() + 1);
      try {
        Iterator<Finished> out = first.run(rows.iterator(), () -> false);
        for (int i = 0; i < end && out.hasNext(); i++) {
          assertThat(written.add(PartitionRuns.answer(out.next().row())))
              .as("seed %d", seed)
              .isTrue();
        }
      } catch (IllegalStateException e) {
        assertThat(e).hasMessage("the engine failed");
      }
      first.abandon();
      List<Row> again = new ArrayList<>();
      InferenceRows second = runs.partition(model(random), Dedup.AUTO, 1);
      second.run(rows.iterator(), () -> false).forEachRemaining(r -> again.add(r.row()));
      assertThat(withoutAttempts(answers(again)))
          .as("seed %d", seed)
          .isEqualTo(withoutAttempts(expected));
      assertThat(withoutAttempts(expected))
          .as("seed %d", seed)
          .containsAll(withoutAttempts(List.copyOf(written)));
    }
  }

  /** Error structs end with the number of attempts. */
  private static List<String> withoutAttempts(List<String> answers) {
    return answers.stream().map(a -> a.replaceFirst(",\\d+\\]", "]")).toList();
  }

  /** Goal: null and malformed prompts stand beside duplicates and are never merged. */
  @Test
  void brokenRowsBesideDuplicates() {
    List<Row> rows =
        new ArrayList<>(Stream.of("a", "b", "c").map(i -> runs.row(i, "same", Map.of())).toList());
    rows.add(1, runs.broken("null"));
    rows.add(3, runs.broken("utf8"));
    List<Row> out = runs.run(rows.iterator(), inOrder(), Dedup.AUTO);
    assertThat(out).hasSize(5);
    for (Row row : out) {
      boolean broken = List.of("null", "utf8").contains(PartitionRuns.id(row));
      assertThat(row.getString(4)).isEqualTo(broken ? "error" : "ok");
      if (broken) {
        assertThat(row.getStruct(PartitionRuns.ERROR).getString(1))
            .isEqualTo("no prompt of " + row.getString(0));
        assertThat(PartitionRuns.copied(row)).isFalse();
      }
    }
    assertThat(out.stream().filter(PartitionRuns::copied)).hasSize(2);
  }
}
