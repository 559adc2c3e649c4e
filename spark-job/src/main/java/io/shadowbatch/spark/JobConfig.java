package io.shadowbatch.spark;

import java.io.Serializable;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * What a job was asked to do, typed and checked. Holds nothing that Spark or the model would have
 * to be asked for.
 *
 * @param limit rows to read; 0 for all
 * @param partitions tasks of the inference; 0 to choose
 */
public record JobConfig(
    String model,
    Input input,
    Prompts prompts,
    Output output,
    StopRules stops,
    EngineChoice engine,
    RowDefaults rows,
    long limit,
    int partitions,
    PrefixPlan prefixPlan,
    Planner planner,
    Dedup dedup) {

  /** Where prompts are read. */
  public record Input(String path, String format, Map<String, String> options) {}

  /**
   * Which columns mean what; null where the user did not say.
   *
   * @param fields columns written as one JSON object
   * @param keepCols columns to copy to the output, or null for all that are not used
   */
  public record Prompts(
      String idCol,
      String promptCol,
      String messagesCol,
      String template,
      List<String> fields,
      FieldOrder fieldOrder,
      String systemPrompt,
      String systemPromptCol,
      String paramsCol,
      List<String> keepCols) {}

  /** In which order fields are written. */
  public enum FieldOrder {
    GIVEN,
    AUTO
  }

  /**
   * Where completions are written.
   *
   * @param reuse other outputs whose answers may be copied
   * @param chunkRows most rows that are committed together
   * @param chunkSeconds after which fewer are
   */
  public record Output(
      String path,
      OnExisting onExisting,
      List<String> reuse,
      int chunkRows,
      double chunkSeconds,
      double errorRateMax,
      boolean json) {}

  /** What to do with an output that exists. */
  public enum OnExisting {
    RESUME,
    FAIL,
    OVERWRITE
  }

  /** Whether prompts that begin alike are brought together. */
  public enum PrefixPlan {
    ON,
    OFF
  }

  /** How the cuts between partitions are found. */
  public enum Planner {
    RANGE,
    GLOBAL
  }

  /** Whether equal requests are computed once. */
  public enum Dedup {
    AUTO,
    OFF
  }

  /** What to do with a prompt that does not fit the context. */
  public enum LongPrompts {
    ERROR,
    TRUNCATE_LEFT,
    TRUNCATE_RIGHT,
    TRUNCATE_MIDDLE
  }

  /** What to do with a row parameter that nobody knows. */
  public enum UnknownParams {
    ERROR,
    WARN,
    IGNORE
  }

  /**
   * How an executor's engine is opened.
   *
   * @param threads 0 for the cores of the executor
   * @param contextTokens 0 for the model's
   */
  public record EngineChoice(
      String backend, int threads, KvOptions kv, int contextTokens, int batchTokens)
      implements Serializable {

    EngineChoice withBackend(String other) {
      return new EngineChoice(other, threads, kv, contextTokens, batchTokens);
    }

    EngineChoice withThreads(int cores) {
      return new EngineChoice(backend, cores, kv, contextTokens, batchTokens);
    }

    EngineChoice with(KvOptions other) {
      return new EngineChoice(backend, threads, other, contextTokens, batchTokens);
    }
  }

  /**
   * What applies to each row unless the row says otherwise.
   *
   * @param params by the names that rows use
   * @param seed the job's
   * @param clock of chat templates, read as UTC
   */
  public record RowDefaults(
      Map<String, Object> params,
      long seed,
      LongPrompts longPrompts,
      UnknownParams unknownParams,
      Instant clock)
      implements Serializable {}

  /** Reads typed values out of settings; the first wrong one ends with a message. */
  public static JobConfig of(Settings s, Instant start) {
    refuse(s);
    EngineChoice engine =
        new EngineChoice(
            s.text(JobOptions.BACKEND),
            s.count(JobOptions.THREADS),
            KvOptions.of(s),
            s.count(JobOptions.MAX_MODEL_LEN),
            s.count(JobOptions.BATCH_TOKENS));
    if (engine.batchTokens() != 0 && engine.batchTokens() < 16) {
      throw s.wrong(JobOptions.BATCH_TOKENS, "0, or 16 or more", s.text(JobOptions.BATCH_TOKENS));
    }
    RowDefaults rows =
        new RowDefaults(
            RowParams.defaults(s),
            s.whole(JobOptions.SEED),
            LongPrompts.valueOf(upper(s, JobOptions.ON_LONG_PROMPT)),
            UnknownParams.valueOf(upper(s, JobOptions.UNKNOWN_PARAMS)),
            clock(s, start));
    return new JobConfig(
        s.required(JobOptions.MODEL),
        new Input(
            s.text(JobOptions.INPUT),
            s.text(JobOptions.INPUT_FORMAT),
            pairs(s.texts(JobOptions.INPUT_OPTION))),
        prompts(s),
        output(s),
        StopRules.of(s),
        engine,
        rows,
        s.whole(JobOptions.LIMIT),
        s.count(JobOptions.PARTITIONS),
        PrefixPlan.valueOf(upper(s, JobOptions.PREFIX_PLAN)),
        Planner.valueOf(upper(s, JobOptions.PLANNER)),
        Dedup.valueOf(upper(s, JobOptions.DEDUP)));
  }

  private static Prompts prompts(Settings s) {
    String keep = s.text(JobOptions.KEEP_COLS);
    List<String> fields = fields(s);
    return new Prompts(
        s.text(JobOptions.ID_COL),
        s.text(JobOptions.PROMPT_COL),
        s.text(JobOptions.MESSAGES_COL),
        s.text(JobOptions.PROMPT_TEMPLATE),
        fields,
        FieldOrder.valueOf(upper(s, JobOptions.FIELD_ORDER)),
        s.text(JobOptions.SYSTEM_PROMPT),
        s.text(JobOptions.SYSTEM_PROMPT_COL),
        s.text(JobOptions.PARAMS_COL),
        keep == null ? null : split(keep));
  }

  /** The fields, each once, that nothing else contradicts; null if there are none. */
  private static List<String> fields(Settings s) {
    String given = s.text(JobOptions.PROMPT_FIELDS);
    if (given == null) {
      if ("given".equals(s.text(JobOptions.FIELD_ORDER))) return null;
      throw s.wrong(
          JobOptions.FIELD_ORDER, "given, or --prompt-fields with the columns to order", "auto");
    }
    List<String> fields = split(given);
    Set<String> names = new HashSet<>();
    for (String name : fields) names.add(name.toLowerCase(Locale.ROOT));
    if (fields.isEmpty() || names.size() < fields.size()) {
      throw s.wrong(JobOptions.PROMPT_FIELDS, "at least one column, each once", given);
    }
    for (JobOption column : List.of(JobOptions.PROMPT_COL, JobOptions.MESSAGES_COL)) {
      if (s.text(column) == null) continue;
      throw s.wrong(
          column, "none beside --prompt-fields, which make the user message", s.text(column));
    }
    return fields;
  }

  private static Output output(Settings s) {
    double rate = s.decimal(JobOptions.MAX_ERROR_RATE);
    if (rate < 0 || rate > 1) {
      throw s.wrong(JobOptions.MAX_ERROR_RATE, "0..1", s.text(JobOptions.MAX_ERROR_RATE));
    }
    int rows = s.count(JobOptions.CHUNK_ROWS);
    if (rows < 1) throw s.wrong(JobOptions.CHUNK_ROWS, "1 or more", "" + rows);
    double minutes = s.decimal(JobOptions.CHUNK_MINUTES);
    if (!(minutes > 0)) throw s.wrong(JobOptions.CHUNK_MINUTES, "more than 0", "" + minutes);
    return new Output(
        s.text(JobOptions.OUTPUT),
        OnExisting.valueOf(upper(s, JobOptions.ON_EXISTING)),
        s.texts(JobOptions.REUSE),
        rows,
        60 * minutes,
        rate,
        "json".equals(s.text(JobOptions.LOG_FORMAT)));
  }

  private static void refuse(Settings s) {
    OpenAiTable.check(s);
    if (Gpus.BACKEND.equals(s.text(JobOptions.BACKEND))) {
      String codec = s.text(JobOptions.KV_CODEC);
      if (codec.equals("int8")) {
        throw s.wrong(JobOptions.KV_CODEC, "auto or fp16 with --backend cuda", codec);
      }
      String folder = s.text(JobOptions.HOST_FOLDER);
      if (folder != null) {
        throw s.wrong(
            JobOptions.HOST_FOLDER,
            "none with --backend cuda, whose memory behind the device is pinned",
            folder);
      }
    }
  }

  private static Instant clock(Settings s, Instant start) {
    String date = s.text(JobOptions.TEMPLATE_DATE);
    if (date == null) return start;
    try {
      if (date.length() <= 10)
        return LocalDate.parse(date).atStartOfDay().toInstant(ZoneOffset.UTC);
      if (date.endsWith("Z")) return Instant.parse(date);
      return LocalDateTime.parse(date).toInstant(ZoneOffset.UTC);
    } catch (DateTimeException e) {
      throw s.wrong(
          JobOptions.TEMPLATE_DATE, "a date such as 2026-01-31 or 2026-01-31T09:00", date);
    }
  }

  private static String upper(Settings s, JobOption option) {
    return s.text(option).toUpperCase(Locale.ROOT);
  }

  static List<String> split(String names) {
    return Arrays.stream(names.split(",")).map(String::strip).filter(n -> !n.isEmpty()).toList();
  }

  private static Map<String, String> pairs(List<String> pairs) {
    Map<String, String> map = new LinkedHashMap<>();
    for (String pair : pairs) {
      int at = pair.indexOf('=');
      map.put(pair.substring(0, at), pair.substring(at + 1));
    }
    return map;
  }
}
