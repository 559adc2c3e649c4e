package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.request.ErrorCode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** Chat messages out of a column: a list of structs, or JSON; each with a role and text content. */
final class Messages {

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private Messages() {}

  static Map<String, Object> message(String role, String content) {
    Map<String, Object> message = new LinkedHashMap<>();
    message.put("role", role);
    message.put("content", content);
    return message;
  }

  /** Messages of a column's value, at least one. */
  static List<Map<String, Object>> read(Object value) {
    if (value == null) throw bad("column messages is null");
    List<?> items = value instanceof byte[] json ? parse(json) : (List<?>) plain(value);
    if (items == null || items.isEmpty()) {
      throw new RowException(ErrorCode.EMPTY_PROMPT, "input", "messages: expected at least one");
    }
    List<Map<String, Object>> messages = new ArrayList<>();
    for (Object item : items) messages.add(checked(item, messages.size()));
    return messages;
  }

  private static List<?> parse(byte[] json) {
    try {
      return JSON.readValue(Utf8.decode(json, "messages"), new TypeReference<List<Object>>() {});
    } catch (JsonProcessingException e) {
      throw bad("messages: expected a JSON array of {role, content}, got other text");
    }
  }

  private static Map<String, Object> checked(Object item, int at) {
    if (!(item instanceof Map<?, ?> fields)) throw bad("messages[" + at + "]: expected an object");
    Map<String, Object> message = new LinkedHashMap<>();
    fields.forEach(
        (name, value) -> {
          if (value != null) message.put(String.valueOf(name), value);
        });
    if (!(message.get("role") instanceof String)) {
      throw bad("messages[" + at + "].role: expected a text");
    }
    Object content = message.get("content");
    if (content instanceof List<?> parts) {
      message.put("content", joined(parts, at));
    } else if (!(content instanceof String)) {
      throw bad("messages[" + at + "].content: expected a text or text parts");
    }
    return message;
  }

  private static String joined(List<?> parts, int at) {
    StringBuilder text = new StringBuilder();
    for (Object part : parts) {
      if (part instanceof Map<?, ?> map && map.get("text") instanceof String s) {
        text.append(s);
      } else {
        throw bad("messages[" + at + "].content: only parts with a text are supported");
      }
    }
    return text.toString();
  }

  /** Spark's values as plain Java ones, bytes as text. */
  static Object plain(Object value) {
    if (value instanceof byte[] bytes) return Utf8.decode(bytes, "messages");
    if (value instanceof Row row) {
      Map<String, Object> map = new LinkedHashMap<>();
      for (String name : row.schema().fieldNames()) map.put(name, plain(row.getAs(name)));
      return map;
    }
    if (value instanceof Seq<?> seq) {
      List<Object> list = new ArrayList<>();
      for (Object item : CollectionConverters.asJava(seq)) list.add(plain(item));
      return list;
    }
    if (value instanceof scala.collection.Map<?, ?> scalaMap) {
      Map<String, Object> map = new LinkedHashMap<>();
      CollectionConverters.asJava(scalaMap).forEach((k, v) -> map.put(String.valueOf(k), plain(v)));
      return map;
    }
    return value;
  }

  private static RowException bad(String message) {
    return new RowException(ErrorCode.BAD_INPUT, "input", message);
  }
}
