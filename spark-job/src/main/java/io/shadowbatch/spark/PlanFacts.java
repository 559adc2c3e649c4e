package io.shadowbatch.spark;

import io.shadowbatch.plan.RowCost;
import java.io.Serializable;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Counts of a partition's rows, or of all, before anything is computed. */
final class PlanFacts implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Column in front of the facts of a partition: its index. */
  static final String PARTITION = "partition";

  /**
   * What is counted, in the order of the columns; costs as {@link RowCost} has them. Those of keys
   * and values, but for the rows and groups, leave copies out: {@link KvRule#count}.
   */
  enum Fact {
    ROWS,
    COMPLETIONS,
    PROMPT_BYTES,
    LONGEST_BYTES,
    LONG_ROWS,
    PROMPT_TOKENS,
    COMPUTED_TOKENS,
    NEW_TOKENS_MAX,
    NEW_TOKENS,
    LONGEST_ANSWER,
    BATCHED_PAIRS,
    LONE_PAIRS,
    GROUPS,
    GROUPED_ROWS,
    GROUP_PREFIX_BYTES,
    LONGEST_PREFIX_BYTES,
    GROUP_SAVED_BYTES,
    LARGEST_GROUP,
    COPIED_ROWS,
    COPIED_BYTES,
    COPIED_NEW_TOKENS,
    COST,
    SHADOW_ROWS,
    SHADOW_GROUPS,
    KV_COMPLETIONS,
    KV_DENSE_BYTES,
    KV_SHADOW_BYTES,
    KV_CHOSEN_BYTES,
    KV_DENSE_NANOS,
    KV_SHADOW_NANOS,
    KV_CHOSEN_NANOS,
    KV_SAVED_NANOS,
    KV_GAIN_MOST
  }

  /** Facts of which the largest counts; the others add up. */
  private static final EnumSet<Fact> LARGEST =
      EnumSet.of(
          Fact.LONGEST_BYTES,
          Fact.LARGEST_GROUP,
          Fact.LONGEST_PREFIX_BYTES,
          Fact.LONGEST_ANSWER,
          Fact.KV_GAIN_MOST);

  private final long[] values = new long[Fact.values().length];

  long of(Fact fact) {
    return values[fact.ordinal()];
  }

  void add(Fact fact, long value) {
    int at = fact.ordinal();
    values[at] = LARGEST.contains(fact) ? Math.max(values[at], value) : values[at] + value;
  }

  private void add(PlanFacts other) {
    for (Fact fact : Fact.values()) add(fact, other.of(fact));
  }

  static StructType schema() {
    StructType schema = new StructType().add(PARTITION, DataTypes.IntegerType);
    for (Fact fact : Fact.values()) {
      schema = schema.add(fact.name().toLowerCase(Locale.ROOT), DataTypes.LongType);
    }
    return schema;
  }

  /** Of a row under {@link #schema}. */
  static PlanFacts of(Row partition) {
    PlanFacts facts = new PlanFacts();
    for (Fact fact : Fact.values()) facts.add(fact, partition.getLong(1 + fact.ordinal()));
    return facts;
  }

  /** Of all partitions together. */
  static PlanFacts total(List<Row> partitions) {
    PlanFacts total = new PlanFacts();
    for (Row partition : partitions) total.add(of(partition));
    return total;
  }

  /** Values of a row under {@link #schema}. */
  Object[] row(int partition) {
    Object[] row = new Object[1 + values.length];
    row[0] = partition;
    for (int i = 0; i < values.length; i++) row[1 + i] = values[i];
    return row;
  }
}
