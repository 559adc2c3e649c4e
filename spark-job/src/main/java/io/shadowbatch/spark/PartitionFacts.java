package io.shadowbatch.spark;

import io.shadowbatch.plan.PlanRow;
import io.shadowbatch.plan.PlanRules;
import io.shadowbatch.plan.PlanStatistics;
import io.shadowbatch.plan.PrefixGroupPlanner;
import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.plan.RowCost;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.Set;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Counts one ordered partition: what each prompt shares with the one before needs no work. */
record PartitionFacts(int kept, double bytesPerToken, int context, Sharing sharing)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;

  /** Column in front of the facts: the index of the partition. */
  static final String PARTITION = "partition";

  /** What is counted, in the order of the columns; costs as {@link RowCost} has them. */
  enum Fact {
    ROWS,
    COMPLETIONS,
    PROMPT_BYTES,
    SHARED_BYTES,
    LONGEST_BYTES,
    LONG_ROWS,
    NEW_TOKENS,
    GROUPS,
    GROUPED_ROWS,
    GROUP_SAVED_BYTES,
    LARGEST_GROUP,
    COPIED_ROWS,
    COPIED_BYTES,
    COPIED_NEW_TOKENS,
    COST
  }

  /** Facts of which the largest counts; the others add up. */
  private static final Set<Fact> LARGEST = Set.of(Fact.LONGEST_BYTES, Fact.LARGEST_GROUP);

  /** Counts by {@link Fact}. */
  static final class Counts {
    private final long[] values = new long[Fact.values().length];

    long of(Fact fact) {
      return values[fact.ordinal()];
    }

    private void add(Fact fact, long value) {
      int at = fact.ordinal();
      values[at] = LARGEST.contains(fact) ? Math.max(values[at], value) : values[at] + value;
    }
  }

  static StructType schema() {
    StructType schema = new StructType().add(PARTITION, DataTypes.IntegerType);
    for (Fact fact : Fact.values()) {
      schema = schema.add(fact.name().toLowerCase(Locale.ROOT), DataTypes.LongType);
    }
    return schema;
  }

  static Counts total(List<Row> partitions) {
    Counts total = new Counts();
    for (Row part : partitions) {
      for (Fact fact : Fact.values()) total.add(fact, of(part, fact));
    }
    return total;
  }

  /** A fact of one partition. */
  static long of(Row partition, Fact fact) {
    return partition.getLong(1 + fact.ordinal());
  }

  /** Largest cost of a partition over the mean of them all; 1 if nothing costs anything. */
  static double balance(List<Row> facts, int partitions) {
    long[] costs = facts.stream().mapToLong(p -> of(p, Fact.COST)).toArray();
    long total = Arrays.stream(costs).sum();
    return total == 0 ? 1 : Arrays.stream(costs).max().getAsLong() * (double) partitions / total;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    Prompts prompts = new Prompts(rows, this);
    Counts counts = prompts.counts;
    if (sharing.prefixes() == PrefixPlan.OFF) {
      while (prompts.hasNext()) prompts.next();
    } else {
      PlanRules rules = PlanRules.of(bytesPerToken).below(sharing.root());
      var planner = new PrefixGroupPlanner<>(prompts, rules);
      while (planner.hasNext()) planner.next();
      PlanStatistics statistics = planner.statistics();
      counts.add(Fact.GROUPS, statistics.groups());
      counts.add(Fact.GROUPED_ROWS, statistics.grouped());
      counts.add(Fact.GROUP_SAVED_BYTES, statistics.promptBytes() - statistics.plannedBytes());
      counts.add(Fact.LARGEST_GROUP, statistics.degreeMax());
    }
    Object[] values = new Object[1 + counts.values.length];
    values[0] = TaskContext.getPartitionId();
    for (int i = 0; i < counts.values.length; i++) values[1 + i] = counts.values[i];
    return List.of(RowFactory.create(values)).iterator();
  }

  /** The prompts of a partition for the planner; counts the rows that pass. */
  private static final class Prompts implements Iterator<SortedPrompt<Void>> {
    private final Counts counts = new Counts();
    private final Iterator<Row> rows;
    private final PartitionFacts task;
    private Prepared before;
    private PlanRow plannedBefore;
    private Prepared ahead;

    Prompts(Iterator<Row> rows, PartitionFacts task) {
      this.rows = rows;
      this.task = task;
    }

    @Override
    public boolean hasNext() {
      while (ahead == null && rows.hasNext()) {
        Prepared row = PreparedRows.read(rows.next(), task.kept());
        counts.add(Fact.ROWS, 1);
        counts.add(Fact.COMPLETIONS, row.samples());
        if (row.error() == null) ahead = row;
      }
      return ahead != null;
    }

    @Override
    public SortedPrompt<Void> next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more prompts");
      Prepared row = ahead;
      ahead = null;
      int length = row.prompt().length;
      long all = (long) length * row.samples();
      PlanRow planned = PlanColumns.of(row, task.sharing().rootBytes());
      int outputTokens = planned.outputTokens();
      long newTokens = (long) row.samples() * outputTokens;
      counts.add(Fact.PROMPT_BYTES, all);
      counts.add(Fact.LONGEST_BYTES, length);
      if (length >= (long) (task.bytesPerToken() * task.context())) counts.add(Fact.LONG_ROWS, 1);
      counts.add(Fact.NEW_TOKENS, newTokens);
      boolean copy =
          task.sharing().dedup() == Dedup.AUTO && before != null && Repeats.same(before, row);
      if (copy) {
        counts.add(Fact.COPIED_ROWS, 1);
        counts.add(Fact.COPIED_BYTES, all);
        counts.add(Fact.COPIED_NEW_TOKENS, newTokens);
      }
      counts.add(Fact.SHARED_BYTES, copy ? all : all - length + shared(row));
      counts.add(Fact.COST, task.sharing().cost().of(planned, plannedBefore));
      before = row;
      plannedBefore = planned;
      long bytes = task.sharing().plannedBytes(row.prompt());
      return new SortedPrompt<>(row.signature(), bytes, outputTokens, null);
    }

    /** Bytes that a prompt shares with the one before, as far as signatures tell. */
    private long shared(Prepared row) {
      if (before == null) return 0;
      int blocks = PrefixSignature.sharedBlocks(before.signature(), row.signature());
      long bytes = task.sharing().rootBytes() + PrefixSignature.bytesOf(blocks);
      return Math.min(bytes, row.prompt().length);
    }
  }
}
