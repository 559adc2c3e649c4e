package io.shadowbatch.spark;

import io.shadowbatch.plan.PlanRules;
import io.shadowbatch.plan.PlanStatistics;
import io.shadowbatch.plan.PrefixGroupPlanner;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PlanFacts.Fact;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * Counts one ordered partition: a row of {@link PlanFacts}.
 *
 * @param kept columns that pass through
 * @param tokensMax prompts of so many tokens will not fit
 */
record PartitionFacts(int kept, double bytesPerToken, int tokensMax, Sharing sharing)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;

  /** A row of facts for each partition of a job that has rows. */
  static List<Row> of(JobPlan plan, double bytesPerToken) {
    long kvTokens = Forecast.Limits.of(plan).kvTokens();
    int tokensMax = (int) Math.min(plan.model().contextTokens(), kvTokens);
    PartitionFacts task =
        new PartitionFacts(plan.table().kept().size(), bytesPerToken, tokensMax, plan.sharing());
    return plan.ordered().mapPartitions(task, Encoders.row(PlanFacts.schema())).collectAsList();
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    FactTally tally = new FactTally(sharing, bytesPerToken, tokensMax);
    Prompts prompts = new Prompts(rows, kept, sharing, tally);
    if (sharing.prefixes() == PrefixPlan.OFF) {
      while (prompts.hasNext()) prompts.next();
    } else {
      PlanRules rules = PlanRules.of(bytesPerToken).below(sharing.root());
      var planner = new PrefixGroupPlanner<>(prompts, rules);
      PlanFacts facts = tally.facts();
      while (planner.hasNext()) {
        long prefix = planner.next().prefixBytes();
        facts.add(Fact.GROUP_PREFIX_BYTES, prefix);
        facts.add(Fact.LONGEST_PREFIX_BYTES, prefix);
      }
      PlanStatistics statistics = planner.statistics();
      facts.add(Fact.GROUPS, statistics.groups());
      facts.add(Fact.GROUPED_ROWS, statistics.grouped());
      facts.add(Fact.GROUP_SAVED_BYTES, statistics.promptBytes() - statistics.plannedBytes());
      facts.add(Fact.LARGEST_GROUP, statistics.degreeMax());
    }
    return List.of(RowFactory.create(tally.facts().row(TaskContext.getPartitionId()))).iterator();
  }

  /** The prompts of a partition for the planner; tallies the rows that pass. */
  private static final class Prompts implements Iterator<SortedPrompt<Void>> {
    private final Iterator<Row> rows;
    private final int kept;
    private final Sharing sharing;
    private final FactTally tally;
    private Prepared ahead;

    Prompts(Iterator<Row> rows, int kept, Sharing sharing, FactTally tally) {
      this.rows = rows;
      this.kept = kept;
      this.sharing = sharing;
      this.tally = tally;
    }

    @Override
    public boolean hasNext() {
      while (ahead == null && rows.hasNext()) {
        Prepared row = PreparedRows.read(rows.next(), kept);
        tally.add(row);
        if (row.error() == null) ahead = row;
      }
      return ahead != null;
    }

    @Override
    public SortedPrompt<Void> next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more prompts");
      Prepared row = ahead;
      ahead = null;
      long bytes = sharing.plannedBytes(row.prompt());
      return new SortedPrompt<>(row.signature(), bytes, 0, null);
    }
  }
}
