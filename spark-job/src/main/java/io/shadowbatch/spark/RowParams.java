package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.InferenceTask.RawPrompts;
import io.shadowbatch.spark.JobConfig.UnknownParams;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sampling parameters by name: the job's defaults, a row's own over them, and the typed result.
 *
 * <p>Names and meanings are those of the OpenAI and vLLM interfaces.
 */
final class RowParams {

  /** Most completions for one row. */
  static final int SAMPLES_MAX = 1024;

  private static final int WARNINGS_MAX = 100;
  private static final int NAME_SHOWN_MAX = 64;
  private static final Logger LOG = LoggerFactory.getLogger(RowParams.class);
  private static final Set<String> WARNED = ConcurrentHashMap.newKeySet();

  private static final Map<String, String> ALIASES = Map.of("max_completion_tokens", "max_tokens");

  private static final Map<String, JobOption> NAMES = names();

  static final String SEED = "seed";
  private static final String TRUNCATE = "truncate_prompt_tokens";

  /** Whether a prompt gets the tokens that the model's file says to add; raw prompts do. */
  static final String SPECIAL_TOKENS = "add_special_tokens";

  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private RowParams() {}

  private static Map<String, JobOption> names() {
    Map<String, JobOption> names = new TreeMap<>();
    for (JobOption o : JobOptions.ALL) {
      if (o.key().startsWith(JobOption.KEY_PREFIX + "sampling.")) {
        names.put(o.name().replace('-', '_'), o);
      }
    }
    return names;
  }

  /** The job's own values. The seed is left out: it is mixed into each row's. */
  static Map<String, Object> defaults(Settings s) {
    Map<String, Object> params = new TreeMap<>();
    NAMES.forEach(
        (name, option) -> {
          if (name.equals(SEED)) return;
          Object value = option.type().repeatable() ? s.texts(option) : s.text(option);
          if (option == JobOptions.STOP_TOKEN_IDS) value = ids(s);
          if (value != null) params.put(name, typed(name, value));
        });
    try {
      sampling(params, 0);
      samples(params);
    } catch (RowException | IllegalArgumentException e) {
      throw new JobException(JobException.Exit.USAGE, "job parameters: " + e.getMessage());
    }
    return params;
  }

  private static List<String> ids(Settings s) {
    String text = s.text(JobOptions.STOP_TOKEN_IDS);
    return text == null ? List.of() : JobConfig.split(text);
  }

  /**
   * A row's parameters over the job's.
   *
   * @param row by name; values as Jackson or Spark gives them, null for the default
   */
  static Map<String, Object> merge(
      Map<String, Object> defaults, Map<String, ?> row, UnknownParams unknown) {
    Map<String, Object> merged = new TreeMap<>(defaults);
    row.forEach(
        (key, value) -> {
          if (value == null) return;
          String name = ALIASES.getOrDefault(key, key);
          if (NAMES.containsKey(name) || name.equals(TRUNCATE) || name.equals(SPECIAL_TOKENS)) {
            merged.put(name, typed(name, value));
          } else if (unknown == UnknownParams.ERROR) {
            throw new RowException(
                ErrorCode.UNSUPPORTED_PARAM,
                "input",
                key + ": unknown parameter; remove it or set --unknown-params=ignore");
          } else if (unknown == UnknownParams.WARN) {
            warn(key);
          }
        });
    return merged;
  }

  /** Once for each name in this process, and not for more names than a log can bear. */
  private static void warn(String key) {
    String name = key.length() > NAME_SHOWN_MAX ? key.substring(0, NAME_SHOWN_MAX) : key;
    if (WARNED.size() < WARNINGS_MAX && WARNED.add(name)) {
      LOG.warn("row parameter {} is unknown and left out (--unknown-params=warn)", name);
    }
  }

  /** Names that were warned of. */
  static Set<String> warned() {
    return Set.copyOf(WARNED);
  }

  private static Object typed(String name, Object value) {
    if (name.equals(TRUNCATE)) return (int) whole(name, value, 1, Integer.MAX_VALUE);
    if (name.equals(SPECIAL_TOKENS)) return truth(name, value);
    JobOption option = NAMES.get(name);
    if (option == JobOptions.STOP_TOKEN_IDS) {
      List<Object> ids = new ArrayList<>();
      for (Object id : list(value)) ids.add((int) whole(name, id, 0, Integer.MAX_VALUE));
      return ids;
    }
    return switch (option.type()) {
      case WHOLE -> {
        if (name.equals(SEED)) yield whole(name, value, Long.MIN_VALUE, Long.MAX_VALUE);
        yield (int) whole(name, value, -1, Integer.MAX_VALUE);
      }
      case DECIMAL -> decimal(name, value);
      case SWITCH -> truth(name, value);
      default -> {
        List<Object> texts = new ArrayList<>();
        for (Object text : list(value)) {
          if (text == null) throw bad(name, "texts", null);
          texts.add(String.valueOf(text));
        }
        yield texts;
      }
    };
  }

  private static List<?> list(Object value) {
    if (value instanceof List<?> list) return list;
    if (value instanceof String text && text.startsWith("[")) {
      try {
        return JSON.readValue(text, new TypeReference<List<Object>>() {});
      } catch (JsonProcessingException e) {
        return List.of(text);
      }
    }
    return List.of(value);
  }

  private static long whole(String name, Object value, long min, long max) {
    long number;
    try {
      if (value instanceof Double || value instanceof Float) {
        double d = ((Number) value).doubleValue();
        if (d != Math.rint(d) || Math.abs(d) > 1L << 53) throw new NumberFormatException();
        number = (long) d;
      } else {
        // an item of a list may be null
        number = Long.parseLong(String.valueOf(value).strip());
      }
    } catch (NumberFormatException e) {
      throw bad(name, "a whole number", value);
    }
    if (number < min || number > max) throw bad(name, min + ".." + max, value);
    return number;
  }

  private static double decimal(String name, Object value) {
    try {
      double number = Double.parseDouble(value.toString().strip());
      if (Double.isNaN(number)) throw bad(name, "a number", value);
      return number;
    } catch (NumberFormatException e) {
      throw bad(name, "a number", value);
    }
  }

  private static boolean truth(String name, Object value) {
    String text = value.toString();
    if (!text.equals("true") && !text.equals("false")) throw bad(name, "true or false", value);
    return text.equals("true");
  }

  /** The error of a parameter's value, of which only the beginning is shown. */
  static RowException bad(String name, String expected, Object actual) {
    String shown = String.valueOf(actual);
    String cut = shown.length() > 40 ? shown.substring(0, 40) + ".." : shown;
    return new RowException(
        ErrorCode.UNSUPPORTED_PARAM,
        "input",
        "%s: expected %s, got %s".formatted(name, expected, cut));
  }

  /** Typed parameters; throws for a value out of its range. */
  static SamplingParams sampling(Map<String, Object> p, long seed) {
    try {
      return new SamplingParams(
          (int) p.get("max_tokens"),
          (int) p.get("min_tokens"),
          (double) p.get("temperature"),
          (double) p.get("top_p"),
          (int) p.get("top_k"),
          (double) p.get("min_p"),
          seed,
          texts(p.get("stop")),
          numbers(p.get("stop_token_ids")),
          (double) p.get("presence_penalty"),
          (double) p.get("frequency_penalty"),
          (double) p.get("repetition_penalty"),
          (int) p.get("logprobs"),
          (boolean) p.get("ignore_eos"));
    } catch (IllegalArgumentException e) {
      throw new RowException(ErrorCode.UNSUPPORTED_PARAM, "input", e.getMessage());
    }
  }

  /** Completions asked for. */
  static int samples(Map<String, Object> params) {
    int n = (int) params.get("n");
    if (n < 1 || n > SAMPLES_MAX) throw bad("n", "1.." + SAMPLES_MAX, n);
    return n;
  }

  /** Prompt tokens to keep, or 0 for all. */
  static int promptTokensMax(Map<String, Object> params) {
    return (int) params.getOrDefault(TRUNCATE, 0);
  }

  /** Whether the row's prompt is encoded as a raw one, where the job's are as {@code usual}. */
  static boolean raw(Map<String, Object> params, RawPrompts usual) {
    return (boolean) params.getOrDefault(SPECIAL_TOKENS, usual == RawPrompts.RAW);
  }

  private static List<String> texts(Object value) {
    return ((List<?>) value).stream().map(String::valueOf).toList();
  }

  private static List<Integer> numbers(Object value) {
    return ((List<?>) value).stream().map(v -> ((Number) v).intValue()).toList();
  }

  /** Parameters as JSON with sorted names: equal parameters give equal text. */
  static String json(Map<String, Object> params) {
    try {
      return JSON.writeValueAsString(params);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("parameters are plain values", e);
    }
  }

  /** Parameters out of {@link #json}. */
  static Map<String, Object> parsed(String json) {
    Map<String, Object> params = new TreeMap<>();
    object(json).forEach((name, value) -> params.put(name, typed(name, value)));
    return params;
  }

  /** The most tokens of an answer, out of {@link #json}, for which the rest need not be read. */
  static int maxTokens(String json) {
    try (JsonParser parser = JSON.createParser(json)) {
      while (parser.nextToken() != null) {
        if (parser.currentToken() != JsonToken.FIELD_NAME) continue;
        if (parser.currentName().equals("max_tokens")) return parser.nextIntValue(0);
      }
    } catch (IOException e) {
      throw new IllegalStateException("parameters are JSON of our own: " + json, e);
    }
    throw new IllegalStateException("parameters of our own name max_tokens: " + json);
  }

  /** A JSON object that a user wrote. */
  static Map<String, Object> object(String json) {
    try {
      Map<String, Object> map = JSON.readValue(json, new TypeReference<Map<String, Object>>() {});
      return map == null ? Map.of() : map;
    } catch (JsonProcessingException e) {
      throw new RowException(
          ErrorCode.BAD_INPUT, "input", "parameters: expected a JSON object, got other text");
    }
  }
}
