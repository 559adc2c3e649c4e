package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.InferenceTask.RawPrompts;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.JobConfig.UnknownParams;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;

/** Prepared rows with one kept column, and a partition of them through {@link InferenceRows}. */
final class PartitionRuns {

  /** Columns of output rows. */
  static final int USAGE = 9;

  static final int ERROR = 10;
  static final int TIMING = 11;

  private static final byte[] NOTHING = {};
  static final ModelCard CARD =
      new ModelCard("/m", "m", "f", "llama", null, "", "", 1 << 20, 1, 1, 0, 64, 8, 0);

  private final JobConfig config =
      JobConfig.of(LocalSpark.settings("model=m", "output=o"), Instant.EPOCH);
  final TaskCounters counters = counters();

  private static TaskCounters counters() {
    return TaskCounters.of(name -> new LongAccumulator(), new CollectionAccumulator<>());
  }

  /** A row that asks for something; its kept column is made of its id. */
  Row row(String id, String prompt, Map<String, ?> params) {
    Map<String, Object> merged =
        RowParams.merge(config.rows().params(), params, UnknownParams.ERROR);
    String json = RowParams.json(merged);
    byte[] bytes = prompt.getBytes(StandardCharsets.UTF_8);
    byte[] all = (prompt + "\n" + json).getBytes(StandardCharsets.UTF_8);
    String key = HexFormat.of().formatHex(PrefixSignature.sha256(all), 0, 16);
    byte[] signature = PrefixSignature.of(bytes);
    return row(new Prepared(id, key, bytes, json, signature, RowParams.samples(merged), null));
  }

  /** A row whose prompt is null or malformed. */
  Row broken(String id) {
    RowException error = new RowException(ErrorCode.BAD_INPUT, "input", "no prompt of " + id);
    return row(new Prepared(id, "0".repeat(32), null, "{}", NOTHING, 1, error));
  }

  /** Any row; its kept column is made of its id. */
  static Row row(Prepared prepared) {
    return PreparedRows.row(RowFactory.create("kept " + prepared.id()), 1, prepared);
  }

  /** As the shuffle sorts them. */
  static List<Row> sorted(List<Row> rows) {
    List<Row> sorted = new ArrayList<>(rows);
    sorted.sort(
        Comparator.<Row, byte[]>comparing(r -> (byte[]) r.get(5), Arrays::compareUnsigned)
            .thenComparing(r -> r.getString(2)));
    return sorted;
  }

  InferenceRows partition(CompletionSource source, Dedup dedup, int attempt) {
    return partition(source, dedup, attempt, key -> false);
  }

  /** The same, of which some rows are done. */
  InferenceRows partition(
      CompletionSource source, Dedup dedup, int attempt, Predicate<String> done) {
    return new InferenceRows(source, settings(dedup), counters, attempt, done);
  }

  InferenceTask.Settings settings(Dedup dedup) {
    Sharing sharing = new Sharing(PrefixPlan.ON, dedup, 0);
    return new InferenceTask.Settings(
        "run", "engine", CARD, config.engine(), config.rows(), sharing, 1, RawPrompts.RAW);
  }

  /** What the rows of a partition give. */
  List<Row> run(Iterator<Row> rows, CompletionSource source, Dedup dedup) {
    List<Row> out = new ArrayList<>();
    partition(source, dedup, 0).run(rows, () -> false).forEachRemaining(r -> out.add(r.row()));
    return out;
  }

  static boolean copied(Row output) {
    Row meta = meta(output);
    return meta.getBoolean(11);
  }

  static Row meta(Row output) {
    return output.getStruct(output.size() - 1);
  }

  static String id(Row output) {
    return output.getString(0);
  }

  /** All that must not depend on where or how often it is computed, with the row it belongs to. */
  static String answer(Row output) {
    Row meta = meta(output);
    Row usage = output.getStruct(USAGE);
    return String.join(
        " | ",
        output.getString(0) + "/" + output.getInt(2),
        output.getString(1),
        output.getString(3),
        output.getString(4),
        output.getString(5),
        output.getString(7),
        "" + (output.isNullAt(ERROR) ? null : output.getStruct(ERROR)),
        usage.getLong(0) + "+" + usage.getLong(1),
        Arrays.toString((Object[]) output.get(13)),
        meta.get(6) + " " + meta.get(7));
  }
}
