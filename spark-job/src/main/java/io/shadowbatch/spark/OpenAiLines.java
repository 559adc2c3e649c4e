package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.plan.PrefixSignature;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.function.ToLongFunction;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.LongAccumulator;

/**
 * Makes the lines of OpenAI's batch output and error files out of rows of {@link CompletionTable}.
 * The samples of a request follow each other, the first one first; they become one line. A request
 * of which a sample failed is an error.
 *
 * @param completed counts lines with an answer
 * @param failed counts the others
 */
record OpenAiLines(LongAccumulator completed, LongAccumulator failed)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;

  /** Which file a line belongs to, and the line. */
  static final StructType SCHEMA =
      new StructType()
          .add("kind", DataTypes.StringType, false)
          .add("value", DataTypes.StringType, false);

  static final String OUTPUT = "output";
  static final String ERRORS = "errors";

  /** The least that OpenAI reports, in place of minus infinity, which JSON does not have. */
  private static final double LOGPROB_MIN = -9999;

  private static final DateTimeFormatter RUN_START =
      DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss");
  private static final int RUN_START_CHARS = 15;
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What lines are made of, out of all columns of an output. */
  static Dataset<Row> columns(Dataset<Row> table) {
    return table.select(
        col("request_id"),
        col("request_key"),
        col("sample_index"),
        col("completion"),
        col("finish_reason"),
        col("usage"),
        col("error"),
        col("logprobs"),
        col("meta"),
        optional(table, OpenAiTable.URL),
        optional(table, OpenAiTable.MODEL));
  }

  /** A column that outputs of other inputs do not have. */
  private static Column optional(Dataset<Row> table, String name) {
    boolean there = List.of(table.columns()).contains(name);
    return (there ? col(name) : lit(null)).cast(DataTypes.StringType).as(name);
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    return new Iterator<>() {
      private Row next = rows.hasNext() ? rows.next() : null;

      @Override
      public boolean hasNext() {
        return next != null;
      }

      @Override
      public Row next() {
        if (next == null) throw new NoSuchElementException("the partition has no more lines");
        List<Row> samples = new ArrayList<>();
        do {
          samples.add(next);
          next = rows.hasNext() ? rows.next() : null;
        } while (next != null && next.<Integer>getAs("sample_index") > 0);
        return line(samples);
      }
    };
  }

  private Row line(List<Row> samples) {
    Row error = null;
    for (Row sample : samples) {
      if (error == null) error = sample.getAs("error");
    }
    (error == null ? completed : failed).add(1);
    Row first = samples.get(0);
    String name = name(first);
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("id", "batch_req_" + name);
    line.put("custom_id", first.getAs("request_id"));
    line.put("response", error == null ? response(name, samples) : null);
    line.put("error", error == null ? null : failure(error));
    return RowFactory.create(error == null ? OUTPUT : ERRORS, json(line));
  }

  /** The same in each export, and for each custom_id another. */
  private static String name(Row row) {
    String named = row.<String>getAs("request_id") + "\n" + row.<String>getAs("request_key");
    byte[] sha256 = PrefixSignature.sha256(named.getBytes(StandardCharsets.UTF_8));
    return HexFormat.of().formatHex(sha256, 0, 16);
  }

  private static Map<String, Object> failure(Row error) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("code", error.getAs("code"));
    map.put("message", error.getAs("message"));
    return map;
  }

  private static Map<String, Object> response(String name, List<Row> samples) {
    Row first = samples.get(0);
    Row meta = first.getAs("meta");
    boolean chat = !OpenAiRequest.COMPLETIONS.equals(first.getAs(OpenAiTable.URL));
    String model = first.getAs(OpenAiTable.MODEL);
    List<Map<String, Object>> choices = new ArrayList<>();
    for (Row sample : samples) choices.add(choice(sample, chat));
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("id", (chat ? "chatcmpl-" : "cmpl-") + name);
    body.put("object", chat ? "chat.completion" : "text_completion");
    body.put("created", created(meta.getAs("run_id")));
    body.put("model", model == null ? meta.getAs("model") : model);
    body.put("choices", choices);
    body.put("usage", usage(samples));
    body.put("system_fingerprint", meta.getAs("model") + "@" + meta.getAs("model_revision"));
    Map<String, Object> response = new LinkedHashMap<>();
    response.put("status_code", 200);
    response.put("request_id", "req_" + name);
    response.put("body", body);
    return response;
  }

  private static Map<String, Object> choice(Row sample, boolean chat) {
    Map<String, Object> choice = new LinkedHashMap<>();
    choice.put("index", sample.getAs("sample_index"));
    String text = sample.getAs("completion");
    if (chat) {
      choice.put("message", Messages.message("assistant", text));
    } else {
      choice.put("text", text);
    }
    List<Row> tokens =
        sample.isNullAt(sample.fieldIndex("logprobs"))
            ? null
            : sample.getList(sample.fieldIndex("logprobs"));
    Object logprobs = null;
    if (tokens != null) logprobs = chat ? chatLogprobs(tokens) : textLogprobs(tokens);
    choice.put("logprobs", logprobs);
    choice.put("finish_reason", sample.getAs("finish_reason"));
    return choice;
  }

  private static Map<String, Object> chatLogprobs(List<Row> tokens) {
    List<Map<String, Object>> content = new ArrayList<>();
    for (Row token : tokens) {
      List<Map<String, Object>> top = new ArrayList<>();
      for (Row other : token.<Row>getList(token.fieldIndex("top"))) top.add(chatToken(other));
      Map<String, Object> map = chatToken(token);
      map.put("top_logprobs", top);
      content.add(map);
    }
    Map<String, Object> logprobs = new LinkedHashMap<>();
    logprobs.put("content", content);
    return logprobs;
  }

  private static Map<String, Object> chatToken(Row token) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("token", token.getAs("token"));
    map.put("logprob", logprob(token));
    map.put("bytes", null);
    return map;
  }

  private static Map<String, Object> textLogprobs(List<Row> tokens) {
    List<Object> texts = new ArrayList<>();
    List<Object> values = new ArrayList<>();
    List<Object> tops = new ArrayList<>();
    for (Row token : tokens) {
      Map<String, Object> top = new LinkedHashMap<>();
      for (Row other : token.<Row>getList(token.fieldIndex("top"))) {
        top.put(other.getAs("token"), logprob(other));
      }
      texts.add(token.getAs("token"));
      values.add(logprob(token));
      tops.add(top);
    }
    Map<String, Object> logprobs = new LinkedHashMap<>();
    logprobs.put("tokens", texts);
    logprobs.put("token_logprobs", values);
    logprobs.put("top_logprobs", tops);
    return logprobs;
  }

  private static double logprob(Row token) {
    return Math.max(LOGPROB_MIN, token.<Double>getAs("logprob"));
  }

  /** The prompt counts once for all samples, and what was reused of it where it was least. */
  private static Map<String, Object> usage(List<Row> samples) {
    List<Row> usages = samples.stream().map(s -> s.<Row>getAs("usage")).toList();
    long prompt = usages.get(0).getAs("prompt_tokens");
    ToLongFunction<Row> fresh = u -> u.<Long>getAs("completion_tokens");
    ToLongFunction<Row> reused = u -> u.<Long>getAs("cached_tokens");
    long completion = usages.stream().mapToLong(fresh).sum();
    Map<String, Object> usage = new LinkedHashMap<>();
    usage.put("prompt_tokens", prompt);
    usage.put("completion_tokens", completion);
    usage.put("total_tokens", prompt + completion);
    usage.put(
        "prompt_tokens_details",
        Map.of("cached_tokens", usages.stream().mapToLong(reused).min().orElse(0)));
    return usage;
  }

  /** Seconds since 1970 at which the row's run began, which its name says. */
  private static long created(String runId) {
    try {
      String start = runId.substring(0, Math.min(RUN_START_CHARS, runId.length()));
      return LocalDateTime.parse(start, RUN_START).toEpochSecond(ZoneOffset.UTC);
    } catch (DateTimeException e) {
      throw new IllegalStateException(
          "meta.run_id: expected to begin with a time, got " + runId, e);
    }
  }

  private static String json(Map<String, Object> line) {
    try {
      return JSON.writeValueAsString(line);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("only plain values are written", e);
    }
  }
}
