package io.shadowbatch.spark;

import io.shadowbatch.request.ErrorCode;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Reads the id, the prompt and the parameters out of one row of {@link PromptTable}. What is wrong
 * with a row is thrown as its error.
 *
 * @param template or null
 * @param fields what stands at the template's {fields}; or null
 * @param systemPrompt of all rows, or null
 * @param kept columns before those read here
 */
record PromptReader(
    Source source, PromptTemplate template, PromptFields fields, String systemPrompt, int kept)
    implements Serializable {

  static final String ID = PromptTable.PREFIX + "id";
  static final String PROMPT = PromptTable.PREFIX + "prompt";
  static final String MESSAGES = PromptTable.PREFIX + "messages";
  static final String TEMPLATE = PromptTable.PREFIX + "template_";
  static final String SYSTEM = PromptTable.PREFIX + "system";
  static final String PARAMS = PromptTable.PREFIX + "params";

  /** What prompts are made of. */
  enum Source {
    PROMPT,
    MESSAGES,
    TEMPLATE,
    OPENAI
  }

  /** The same with its fields in another order. */
  PromptReader with(PromptFields ordered) {
    return new PromptReader(source, template, ordered, systemPrompt, kept);
  }

  /** The user's key, or null. */
  String id(Row row) {
    int at = index(row, ID);
    return at < 0 || row.isNullAt(at) ? null : row.getString(at);
  }

  /** The text of a raw prompt. */
  String prompt(Row row) {
    return text(row, index(row, PROMPT), "prompt");
  }

  /** The user's text of a template. */
  String filled(Row row) {
    List<String> values = new ArrayList<>();
    for (int i = 0; i < template.columns().size(); i++) {
      String column = template.columns().get(i);
      if (fields != null && column.equals(PromptTemplate.FIELDS)) {
        values.add(fields.text(row, index(row, PromptFields.FIRST)));
      } else {
        values.add(text(row, index(row, TEMPLATE + i), column));
      }
    }
    return template.fill(values);
  }

  /** The chat, with the job's or the row's system message if it has none of its own. */
  List<Map<String, Object>> chat(Row row) {
    List<Map<String, Object>> chat =
        source == Source.TEMPLATE
            ? List.of(Messages.message("user", filled(row)))
            : Messages.read(row.get(index(row, MESSAGES)));
    return withSystem(chat, row);
  }

  /** The chat of a line, with the job's system message if it has none of its own. */
  List<Map<String, Object>> chat(OpenAiRequest request, Row row) {
    return withSystem(Messages.read(request.messages()), row);
  }

  private List<Map<String, Object>> withSystem(List<Map<String, Object>> chat, Row row) {
    int system = index(row, SYSTEM);
    String text = system >= 0 && !row.isNullAt(system) ? text(row, system, "system") : systemPrompt;
    if (text == null || "system".equals(chat.get(0).get("role"))) return chat;
    List<Map<String, Object>> whole = new ArrayList<>();
    whole.add(Messages.message("system", text));
    whole.addAll(chat);
    return whole;
  }

  /** The row's own parameters by name; empty if it has none. */
  Map<String, ?> params(Row row) {
    int at = index(row, PARAMS);
    if (at < 0 || row.isNullAt(at)) return Map.of();
    Object value = row.get(at);
    if (value instanceof String json) return json.isBlank() ? Map.of() : RowParams.object(json);
    if (value instanceof Row struct) {
      Map<String, Object> params = new LinkedHashMap<>();
      for (String name : struct.schema().fieldNames()) {
        params.put(name, Messages.plain(struct.getAs(name)));
      }
      return params;
    }
    Map<String, Object> params = new LinkedHashMap<>();
    CollectionConverters.asJava((scala.collection.Map<?, ?>) value)
        .forEach((k, v) -> params.put(String.valueOf(k), Messages.plain(v)));
    return params;
  }

  private static String text(Row row, int at, String column) {
    if (row.isNullAt(at)) {
      throw new RowException(ErrorCode.BAD_INPUT, "input", "column " + column + " is null");
    }
    return Utf8.decode((byte[]) row.get(at), column);
  }

  private static int index(Row row, String name) {
    Option<Object> at = row.schema().getFieldIndex(name);
    return at.isEmpty() ? -1 : (int) at.get();
  }
}
