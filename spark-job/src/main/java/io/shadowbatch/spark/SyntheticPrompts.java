package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SQLContext;
import org.apache.spark.sql.sources.BaseRelation;
import org.apache.spark.sql.sources.RelationProvider;
import org.apache.spark.sql.sources.TableScan;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * A Spark source of seeded prompts that are made while they are read and stored nowhere: columns
 * {@code id} and {@code prompt}. 16 prompts, far apart, begin with the same three quarters.
 * Options: {@code rows}, {@code bytes} of a prompt, {@code seed}, {@code slices} of the table.
 */
public final class SyntheticPrompts implements RelationProvider {

  private static final int DEGREE = 16;
  private static final int ROWS_AT_ONCE = 64;
  private static final LongAdder NANOS = new LongAdder();
  private static final LongAdder ROWS = new LongAdder();

  private static final byte[][] WORDS =
      ("the of and in to is was for as on with by that it from at his an were which be this had"
              + " first one their its new after but who not they have her she two been other when"
              + " there all during into school time may years more most only over city some world"
              + " would where later up such used many can state about")
          .lines()
          .flatMap(line -> List.of(line.split(" ")).stream())
          .map(word -> (word + " ").getBytes(StandardCharsets.UTF_8))
          .toArray(byte[][]::new);

  /** CPU time that making prompts took in this process so far. */
  static long nanos() {
    return NANOS.sum();
  }

  /** Prompts made in this process so far, as often as each was read. */
  static long rows() {
    return ROWS.sum();
  }

  @Override
  public BaseRelation createRelation(
      SQLContext context, scala.collection.immutable.Map<String, String> options) {
    return new Table(
        context,
        number(options, "slices"),
        new Text(number(options, "rows"), (int) number(options, "bytes"), number(options, "seed")));
  }

  private static long number(scala.collection.immutable.Map<String, String> options, String name) {
    return Long.parseLong(options.apply(name));
  }

  /** The prompts by number. */
  record Text(long rows, int bytes, long seed) implements Serializable {

    byte[] prompt(long row) {
      byte[] text = new byte[bytes];
      int prefix = bytes - bytes / 4;
      long groups = Math.max(1, rows / DEGREE);
      fill(text, 0, prefix, row % groups);
      fill(text, prefix, bytes, ~row);
      return text;
    }

    /** Words drawn by the bits of a counter's hash. */
    private void fill(byte[] text, int from, int to, long stream) {
      long state = PrefixSignature.mix(seed) ^ PrefixSignature.mix(stream);
      int at = from;
      while (at < to) {
        state += 0x9e37_79b9_7f4a_7c15L;
        long bits = PrefixSignature.mix(state);
        for (int i = 0; i < 10 && at < to; i++, bits >>>= 6) {
          byte[] word = WORDS[(int) (bits & 63)];
          int length = Math.min(word.length, to - at);
          System.arraycopy(word, 0, text, at, length);
          at += length;
        }
      }
    }
  }

  /** One slice of the table; counts its CPU time a few rows at a time. */
  private static final class Slice implements Iterator<Row> {
    private final ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    private final Row[] made = new Row[ROWS_AT_ONCE];
    private final Text text;
    private final long end;
    private long next;
    private int at;
    private int ready;

    Slice(Text text, long from, long end) {
      this.text = text;
      this.next = from;
      this.end = end;
    }

    @Override
    public boolean hasNext() {
      return at < ready || next < end;
    }

    @Override
    public Row next() {
      if (!hasNext()) throw new NoSuchElementException("the slice has no more prompts");
      if (at == ready) make();
      return made[at++];
    }

    private void make() {
      long begin = clock.getCurrentThreadCpuTime();
      at = 0;
      ready = (int) Math.min(ROWS_AT_ONCE, end - next);
      for (int i = 0; i < ready; i++, next++) made[i] = RowFactory.create(next, text.prompt(next));
      NANOS.add(clock.getCurrentThreadCpuTime() - begin);
      ROWS.add(ready);
    }
  }

  private static final class Table extends BaseRelation implements TableScan {
    private final SQLContext context;
    private final long slices;
    private final Text text;

    Table(SQLContext context, long slices, Text text) {
      this.context = context;
      this.slices = slices;
      this.text = text;
    }

    @Override
    public SQLContext sqlContext() {
      return context;
    }

    @Override
    public StructType schema() {
      return new StructType()
          .add("id", DataTypes.LongType, false)
          .add("prompt", DataTypes.BinaryType, false);
    }

    @Override
    public RDD<Row> buildScan() {
      Text all = text;
      long count = slices;
      List<Integer> numbers = IntStream.range(0, (int) count).boxed().toList();
      return new JavaSparkContext(context.sparkContext())
          .parallelize(numbers, numbers.size())
          .flatMap(
              slice -> new Slice(all, slice * all.rows() / count, (slice + 1) * all.rows() / count))
          .rdd();
    }
  }
}
