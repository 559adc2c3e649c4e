package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.hll_union_agg;
import static org.apache.spark.sql.functions.sum;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.datasketches.hash.MurmurHash3;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.TgtHllType;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * One pass over the input that measures sets of fields as they are written: bytes, and how many
 * different values they have together. Sketches with 2^14 registers and not Spark's {@code
 * approx_count_distinct}, which keeps registers as columns of the plan and so only suits few of
 * them, at an error that cannot tell a unique column from one that repeats. Each is an exact count
 * up to some thousand values, and the same for any order of rows and any partitions.
 *
 * @param sets indexes of fields
 */
record FieldStatistics(PromptFields fields, List<List<Integer>> sets)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;
  private static final int LOG_REGISTERS = 14;
  private static final StructType SCHEMA =
      new StructType()
          .add("set", DataTypes.IntegerType)
          .add("rows", DataTypes.LongType)
          .add("bytes", DataTypes.LongType)
          .add("sketch", DataTypes.BinaryType);

  FieldStatistics {
    sets = new ArrayList<>(sets);
  }

  /**
   * What is known of a set of fields.
   *
   * @param rows in which all fields can be read
   * @param bytes of the set in all rows, as UTF-8 with commas and line ends
   * @param distinct estimated number of different values
   */
  record Fact(long rows, long bytes, long distinct) {}

  /** Measures each set; without any if no row can be read. The rows hold the fields only. */
  static Map<List<Integer>, Fact> of(
      Dataset<Row> values, PromptFields fields, List<List<Integer>> sets) {
    FieldStatistics task = new FieldStatistics(fields, sets);
    Map<List<Integer>, Fact> facts = new HashMap<>();
    for (Row row :
        values
            .mapPartitions(task, Encoders.row(SCHEMA))
            .groupBy("set")
            .agg(sum("rows"), sum("bytes"), hll_union_agg("sketch"))
            .collectAsList()) {
      // Not getEstimate: that one remembers in which order values came.
      double distinct = HllSketch.heapify((byte[]) row.get(3)).getCompositeEstimate();
      Fact fact = new Fact(row.getLong(1), row.getLong(2), Math.round(distinct));
      facts.put(sets.get(row.getInt(0)), fact);
    }
    return facts;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    long[] bytes = new long[sets.size()];
    HllSketch[] sketches = new HllSketch[sets.size()];
    for (int i = 0; i < sketches.length; i++) {
      sketches[i] = new HllSketch(LOG_REGISTERS, TgtHllType.HLL_8);
    }
    long count = 0;
    while (rows.hasNext()) {
      byte[][] lines = lines(rows.next());
      if (lines == null) continue;
      count++;
      add(lines, bytes, sketches);
    }
    List<Row> out = new ArrayList<>();
    for (int i = 0; i < sketches.length && count > 0; i++) {
      out.add(RowFactory.create(i, count, bytes[i], sketches[i].toCompactByteArray()));
    }
    return out.iterator();
  }

  private void add(byte[][] lines, long[] bytes, HllSketch[] sketches) {
    long[] hashes = new long[lines.length];
    for (int f = 0; f < lines.length; f++) hashes[f] = MurmurHash3.hash(lines[f], 0)[0];
    for (int i = 0; i < sketches.length; i++) {
      List<Integer> set = sets.get(i);
      long[] key = new long[set.size()];
      for (int j = 0; j < key.length; j++) {
        key[j] = hashes[set.get(j)];
        bytes[i] += lines[set.get(j)].length;
      }
      sketches[i].update(key);
    }
  }

  /** Each field as it is written, or null if one of the row's cannot be read. */
  private byte[][] lines(Row row) {
    byte[][] lines = new byte[fields.names().size()][];
    try {
      for (int f = 0; f < lines.length; f++) {
        lines[f] = (fields.line(row, 0, f) + ",\n").getBytes(StandardCharsets.UTF_8);
      }
      return lines;
    } catch (RowException e) {
      return null;
    }
  }
}
