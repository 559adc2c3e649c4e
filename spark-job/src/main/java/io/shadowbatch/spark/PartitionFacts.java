package io.shadowbatch.spark;

import io.shadowbatch.plan.PlanRules;
import io.shadowbatch.plan.PlanStatistics;
import io.shadowbatch.plan.PrefixGroupPlanner;
import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.Set;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Counts one ordered partition: what each prompt shares with the one before needs no work. */
record PartitionFacts(int kept, double bytesPerToken, int context, Sharing sharing)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;

  /** What is counted, in the order of the columns. */
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
    COPIED_NEW_TOKENS
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
    StructType schema = new StructType();
    for (Fact fact : Fact.values()) {
      schema = schema.add(fact.name().toLowerCase(Locale.ROOT), DataTypes.LongType);
    }
    return schema;
  }

  static Counts total(List<Row> partitions) {
    Counts total = new Counts();
    for (Row part : partitions) {
      for (Fact fact : Fact.values()) total.add(fact, part.getLong(fact.ordinal()));
    }
    return total;
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
    Object[] values = new Object[counts.values.length];
    for (int i = 0; i < values.length; i++) values[i] = counts.values[i];
    return List.of(RowFactory.create(values)).iterator();
  }

  /** The prompts of a partition for the planner; counts the rows that pass. */
  private static final class Prompts implements Iterator<SortedPrompt<Void>> {
    private final Counts counts = new Counts();
    private final Iterator<Row> rows;
    private final PartitionFacts task;
    private Prepared before;
    private Prepared ahead;
    private String params;
    private int outputTokens;

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
      int outputTokens = outputTokens(row.params());
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
      before = row;
      long planned = task.sharing().plannedBytes(row.prompt());
      return new SortedPrompt<>(row.signature(), planned, outputTokens, null);
    }

    /** Most rows have the parameters of the one before. */
    private int outputTokens(String json) {
      if (!json.equals(params)) {
        params = json;
        outputTokens = (int) RowParams.parsed(json).get("max_tokens");
      }
      return outputTokens;
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
