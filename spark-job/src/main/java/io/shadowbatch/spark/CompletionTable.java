package io.shadowbatch.spark;

import static org.apache.spark.sql.types.DataTypes.BooleanType;
import static org.apache.spark.sql.types.DataTypes.DoubleType;
import static org.apache.spark.sql.types.DataTypes.IntegerType;
import static org.apache.spark.sql.types.DataTypes.LongType;
import static org.apache.spark.sql.types.DataTypes.StringType;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** The columns of the output; their meaning is in {@code schemas/README.md}. */
final class CompletionTable {

  /** Grows when a column is added; columns are never changed or removed. */
  static final int SCHEMA_VERSION = 3;

  static final StructType USAGE =
      new StructType()
          .add("prompt_tokens", LongType, false)
          .add("completion_tokens", LongType, false)
          .add("total_tokens", LongType, false)
          .add("cached_tokens", LongType, false)
          .add("reasoning_tokens", LongType, false);

  static final StructType ERROR =
      new StructType()
          .add("code", StringType, false)
          .add("message", StringType, false)
          .add("stage", StringType, false)
          .add("retryable", BooleanType, false)
          .add("attempts", IntegerType, false);

  static final StructType TIMING =
      new StructType()
          .add("queue_ms", DoubleType, false)
          .add("prefill_ms", DoubleType, false)
          .add("decode_ms", DoubleType, false)
          .add("total_ms", DoubleType, false);

  static final StructType ALTERNATIVE =
      new StructType()
          .add("token_id", IntegerType, false)
          .add("token", StringType, false)
          .add("logprob", DoubleType, false);

  static final StructType LOGPROB =
      ALTERNATIVE.add("top", DataTypes.createArrayType(ALTERNATIVE, false), false);

  static final StructType META =
      new StructType()
          .add("run_id", StringType, false)
          .add("model", StringType, false)
          .add("model_revision", StringType, false)
          .add("engine", StringType, false)
          .add("backend", StringType, false)
          .add("kv_mode", StringType, false)
          .add("params_hash", StringType, true)
          .add("seed", LongType, true)
          .add("prefix_group", StringType, true)
          .add("task_attempt", IntegerType, false)
          .add("truncated_tokens", IntegerType, false)
          .add("copied", BooleanType, true)
          .add("row_key", StringType, true);

  private static final StructType BEFORE =
      new StructType()
          .add("request_id", StringType, true)
          .add("request_key", StringType, false)
          .add("sample_index", IntegerType, false);

  private static final StructType AFTER =
      new StructType()
          .add("status", StringType, false)
          .add("completion", StringType, true)
          .add("reasoning", StringType, true)
          .add("finish_reason", StringType, true)
          .add("stop_reason", StringType, true)
          .add("usage", USAGE, false)
          .add("error", ERROR, true)
          .add("timing", TIMING, false)
          .add("logprobs", DataTypes.createArrayType(LOGPROB, false), true)
          .add("token_ids", DataTypes.createArrayType(IntegerType, false), false)
          .add("meta", META, false);

  /** Names that passed-through columns must not have, in lower case. */
  static final Set<String> NAMES =
      Stream.concat(
              Arrays.stream(BEFORE.fieldNames()),
              Stream.concat(Arrays.stream(AFTER.fieldNames()), Stream.of("parsed")))
          .map(n -> n.toLowerCase(Locale.ROOT))
          .collect(Collectors.toUnmodifiableSet());

  private CompletionTable() {}

  /** All columns, with those that pass through in their place. */
  static StructType schema(List<StructField> kept) {
    List<StructField> fields = new ArrayList<>(Arrays.asList(BEFORE.fields()));
    fields.addAll(kept);
    fields.addAll(Arrays.asList(AFTER.fields()));
    return new StructType(fields.toArray(new StructField[0]));
  }
}
