package io.shadowbatch.spark;

import io.shadowbatch.plan.PlanRules;
import io.shadowbatch.plan.PlannedGroup;
import io.shadowbatch.plan.PrefixGroupPlanner;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.NoSuchElementException;
import org.apache.spark.sql.Row;

/**
 * One partition's prepared rows, each with the name of its planned prefix group, or with none if
 * nothing is planned. Keeps the order of the rows: the engine reuses prefixes of any depth, and
 * bringing the members of nested groups together would part prompts that share more than that. Rows
 * with errors are in no group and come early.
 */
final class PlannedRows implements Iterator<PlannedRows.Planned> {

  /** Before anything is tokenized; sizes groups, and no completion depends on it. */
  private static final double BYTES_PER_TOKEN = 4;

  /** Rows carry columns of any size beside their prompts, so that fewer are held than might be. */
  private static final int WINDOW_ROWS = 1024;

  private static final long WINDOW_BYTES = 32L << 20;

  /**
   * A row and where it belongs.
   *
   * @param group whom it shares a prefix with
   */
  record Planned(Row row, Prepared prepared, RowGroup group) {}

  private final Iterator<Row> rows;
  private final Sharing sharing;
  private final int kept;
  private final Prompts prompts = new Prompts();
  private final Iterator<PlannedGroup<Placed>> groups;
  private final Deque<Planned> apart = new ArrayDeque<>();
  private final Map<Long, Planned> early = new HashMap<>();
  private long given;

  private record Placed(Row row, Prepared prepared, long place) {}

  PlannedRows(Iterator<Row> rows, Sharing sharing, int kept) {
    this.rows = rows;
    this.sharing = sharing;
    this.kept = kept;
    PlanRules rules =
        PlanRules.of(BYTES_PER_TOKEN).withWindow(WINDOW_ROWS, WINDOW_BYTES).below(sharing.root());
    this.groups = new PrefixGroupPlanner<>(prompts, rules);
  }

  @Override
  public boolean hasNext() {
    if (sharing.prefixes() == PrefixPlan.OFF) return rows.hasNext();
    if (!apart.isEmpty() || !early.isEmpty()) return true;
    // Errors sort first: they leave one by one, however many there are.
    prompts.readOne();
    if (!apart.isEmpty() || groups.hasNext()) return true;
    return !apart.isEmpty();
  }

  @Override
  public Planned next() {
    if (!hasNext()) throw new NoSuchElementException("the partition has no more rows");
    if (sharing.prefixes() == PrefixPlan.OFF) return read(rows.next());
    if (!apart.isEmpty()) return apart.remove();
    while (!early.containsKey(given)) {
      PlannedGroup<Placed> group = groups.next();
      RowGroup shared = RowGroup.of(group, row -> row.prepared().samples(), sharing);
      for (PlannedGroup.Member<Placed> member : group.members()) {
        Placed row = member.prompt().payload();
        early.put(row.place(), new Planned(row.row(), row.prepared(), shared));
      }
    }
    return early.remove(given++);
  }

  private Planned read(Row row) {
    return new Planned(row, PreparedRows.read(row, kept), RowGroup.ALONE);
  }

  /** The rows that have a prompt; puts the others apart. */
  private final class Prompts implements Iterator<SortedPrompt<Placed>> {
    private Planned ahead;
    private long place;

    @Override
    public boolean hasNext() {
      while (ahead == null && rows.hasNext()) readOne();
      return ahead != null;
    }

    private void readOne() {
      if (ahead != null || !rows.hasNext()) return;
      Planned row = read(rows.next());
      if (row.prepared().error() == null) ahead = row;
      else apart.add(row);
    }

    @Override
    public SortedPrompt<Placed> next() {
      if (!hasNext()) throw new NoSuchElementException("the partition has no more prompts");
      Prepared prepared = ahead.prepared();
      Placed row = new Placed(ahead.row(), prepared, place++);
      ahead = null;
      long bytes = sharing.plannedBytes(prepared.prompt());
      return new SortedPrompt<>(prepared.signature(), bytes, 0, row);
    }
  }
}
