package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.request.ErrorCode;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Row;

/**
 * What one line of an OpenAI batch file asks. What is wrong with a line is thrown as its row's
 * error, which never quotes a prompt.
 *
 * <p>Form and names: OpenAI's Batch, Chat Completions and Completions interfaces, with vLLM's
 * additional parameters.
 *
 * @param messages of a chat; null for a raw prompt
 * @param prompt raw; null for a chat
 * @param params by the names of {@link RowParams}
 */
record OpenAiRequest(List<?> messages, String prompt, Map<String, Object> params) {

  static final String CHAT = "/v1/chat/completions";
  static final String COMPLETIONS = "/v1/completions";

  /** They change nothing about an answer, or, as the model, are the job's to choose. */
  private static final Set<String> ACCEPTED =
      Set.of(
          "model",
          "user",
          "metadata",
          "store",
          "service_tier",
          "safety_identifier",
          "prompt_cache_key",
          "parallel_tool_calls");

  /** Values that ask for nothing, of parameters that are otherwise not supported. */
  private static final Map<String, Set<Object>> NEUTRAL =
      Map.of(
          "best_of", Set.of(1),
          "echo", Set.of(false),
          "logit_bias", Set.of(Map.of()),
          "modalities", Set.of(List.of("text")),
          "stream", Set.of(false),
          "suffix", Set.of(""),
          "tool_choice", Set.of("none", "auto"),
          "tools", Set.of(List.of()));

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /** Reads a row of {@link OpenAiTable}. */
  static OpenAiRequest read(Row row) {
    String corrupt = row.getAs(OpenAiTable.CORRUPT);
    if (corrupt != null) throw bad(corrupt);
    String method = row.getAs(OpenAiTable.METHOD);
    if (!"POST".equals(method)) throw bad("method: expected POST, got " + shown(method));
    String url = row.getAs(OpenAiTable.URL);
    if (url == null) throw bad("url: expected " + CHAT + " or " + COMPLETIONS + ", got none");
    if (!url.equals(CHAT) && !url.equals(COMPLETIONS)) {
      throw RowParams.bad("url", CHAT + " or " + COMPLETIONS, url);
    }
    String json = row.getAs(OpenAiTable.BODY);
    Map<String, Object> body = json == null ? null : body(json);
    if (body == null) throw bad("body: expected a JSON object, got none");
    return url.equals(CHAT) ? chat(body) : completion(body);
  }

  private static Map<String, Object> body(String json) {
    try {
      return JSON.readValue(json, new TypeReference<Map<String, Object>>() {});
    } catch (JsonProcessingException e) {
      throw bad("body: expected a JSON object, got something else");
    }
  }

  private static OpenAiRequest chat(Map<String, Object> body) {
    Object messages = body.remove("messages");
    if (!(messages instanceof List<?> list)) throw bad("body.messages: expected a list");
    Map<String, Object> params = new LinkedHashMap<>();
    // One parameter of ours for two of the chat interface.
    Object wanted = body.remove("logprobs");
    Object top = body.remove("top_logprobs");
    if (wanted != null && !(wanted instanceof Boolean)) {
      throw RowParams.bad("logprobs", "true or false", wanted);
    }
    if (Boolean.TRUE.equals(wanted)) {
      params.put("logprobs", top == null ? 0 : top);
    } else if (top != null && !top.equals(0)) {
      throw RowParams.bad("top_logprobs", "none, or logprobs true beside it", top);
    } else if (wanted != null) {
      params.put("logprobs", -1);
    }
    return new OpenAiRequest(list, null, with(params, body));
  }

  private static OpenAiRequest completion(Map<String, Object> body) {
    Object prompt = body.remove("prompt");
    if (prompt instanceof List<?> list) {
      if (list.size() != 1 || !(list.get(0) instanceof String)) {
        throw new RowException(
            ErrorCode.UNSUPPORTED_PARAM,
            "input",
            "prompt: expected one text, got a list of %d; write a line for each text"
                .formatted(list.size()));
      }
      prompt = list.get(0);
    }
    if (!(prompt instanceof String text)) throw bad("body.prompt: expected a text");
    Map<String, Object> params = new LinkedHashMap<>();
    params.put(RowParams.SPECIAL_TOKENS, true);
    return new OpenAiRequest(null, text, with(params, body));
  }

  /** Adds what a body says to parameters; unknown ones are left to {@link RowParams}. */
  private static Map<String, Object> with(Map<String, Object> params, Map<String, Object> body) {
    body.forEach(
        (name, value) -> {
          boolean nothing =
              value == null
                  || ACCEPTED.contains(name)
                  || NEUTRAL.getOrDefault(name, Set.of()).contains(value);
          if (nothing) return;
          switch (name) {
            case "stream" -> throw RowParams.bad(name, "false, as nobody waits for it", value);
            case "response_format" -> checkFormat(value);
            // a text that looks like a JSON array stays one text
            case "stop" -> params.put(name, value instanceof List<?> ? value : List.of(value));
            default -> params.put(name, value);
          }
        });
    return params;
  }

  private static void checkFormat(Object format) {
    Object type = format instanceof Map<?, ?> map ? map.get("type") : format;
    if (!"text".equals(type)) throw RowParams.bad("response_format", "type text", type);
  }

  private static String shown(String method) {
    return method != null && method.length() <= 8 ? method : method == null ? "none" : "other text";
  }

  private static RowException bad(String message) {
    return new RowException(ErrorCode.BAD_INPUT, "input", message);
  }
}
