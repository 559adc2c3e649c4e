package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.plan.PlanRules;
import io.shadowbatch.plan.PlanStatistics;
import io.shadowbatch.plan.PlannedGroup;
import io.shadowbatch.plan.PrefixGroupPlanner;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.spark.JobConfig.Dedup;
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
 * @param rule how prompts are read
 */
record PartitionFacts(int kept, double bytesPerToken, int tokensMax, Sharing sharing, KvRule rule)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;

  /** What is asked of a prompt that streams by. */
  private record Asking(int promptBytes, int samples, int answer) {}

  /** A row of facts for each partition of a job that has rows. */
  static List<Row> of(JobPlan plan, double bytesPerToken, KvRule rule) {
    long kvTokens = Forecast.Limits.of(plan).kvTokens();
    int tokensMax = (int) Math.min(plan.model().contextTokens(), kvTokens);
    PartitionFacts task =
        new PartitionFacts(
            plan.table().kept().size(), bytesPerToken, tokensMax, plan.sharing(), rule);
    return plan.ordered().mapPartitions(task, Encoders.row(PlanFacts.schema())).collectAsList();
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    FactTally tally = new FactTally(sharing, bytesPerToken, tokensMax);
    Prompts prompts = new Prompts(rows, kept, sharing, tally);
    PlanFacts facts = tally.facts();
    if (sharing.prefixes() == PrefixPlan.OFF) {
      while (prompts.hasNext()) read(facts, prompts.next().payload(), RowGroup.ALONE);
    } else {
      PlanRules rules = PlanRules.of(bytesPerToken).below(sharing.root());
      var planner = new PrefixGroupPlanner<>(prompts, rules);
      while (planner.hasNext()) {
        PlannedGroup<Asking> group = planner.next();
        facts.add(Fact.GROUP_PREFIX_BYTES, group.prefixBytes());
        facts.add(Fact.LONGEST_PREFIX_BYTES, group.prefixBytes());
        read(facts, group);
      }
      PlanStatistics statistics = planner.statistics();
      facts.add(Fact.GROUPS, statistics.groups());
      facts.add(Fact.GROUPED_ROWS, statistics.grouped());
      facts.add(Fact.GROUP_SAVED_BYTES, statistics.promptBytes() - statistics.plannedBytes());
      facts.add(Fact.LARGEST_GROUP, statistics.degreeMax());
    }
    return List.of(RowFactory.create(tally.facts().row(TaskContext.getPartitionId()))).iterator();
  }

  /** Counts how the prompts of a group are read; its mode is that of most of its rows. */
  private void read(PlanFacts facts, PlannedGroup<Asking> group) {
    if (rule.mode() == KvOptions.Mode.DENSE) return;
    RowGroup shared = RowGroup.of(group, Asking::samples, sharing);
    int shadow = 0;
    for (PlannedGroup.Member<Asking> member : group.members()) {
      Asking row = member.prompt().payload();
      KvChoice.Asked asked = asked(row, shared);
      boolean copied = sharing.dedup() == Dedup.AUTO && member.duplicateOf() >= 0;
      if (!copied) rule.count(facts, asked, row.samples());
      if (rule.of(asked) == KvMode.DENSE) continue;
      shadow++;
      facts.add(Fact.SHADOW_ROWS, row.samples());
    }
    boolean most = 2 * shadow > group.members().size();
    if (most && group.name() != null) facts.add(Fact.SHADOW_GROUPS, 1);
  }

  private void read(PlanFacts facts, Asking row, RowGroup group) {
    if (rule.mode() == KvOptions.Mode.DENSE) return;
    KvChoice.Asked asked = asked(row, group);
    rule.count(facts, asked, row.samples());
    if (rule.of(asked) == KvMode.SHADOW) facts.add(Fact.SHADOW_ROWS, row.samples());
  }

  private KvChoice.Asked asked(Asking row, RowGroup group) {
    int tokens = (int) Math.max(1, Math.round(row.promptBytes() / bytesPerToken));
    return group.asked(row.promptBytes(), row.samples(), tokens, row.answer());
  }

  /** The prompts of a partition for the planner; tallies the rows that pass. */
  private static final class Prompts implements Iterator<SortedPrompt<Asking>> {
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
    public SortedPrompt<Asking> next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more prompts");
      Prepared row = ahead;
      ahead = null;
      long bytes = sharing.plannedBytes(row.prompt());
      int answer = Math.min(tally.outputTokens(row.params()), sharing.cost().outputTokensMax());
      Asking asking = new Asking(row.prompt().length, row.samples(), answer);
      return new SortedPrompt<>(row.signature(), bytes, 0, asking);
    }
  }
}
