package io.shadowbatch.spark;

import io.shadowbatch.spark.JobException.Exit;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Text with column names in braces; doubled braces are braces.
 *
 * @param texts around the columns, one more than columns
 */
record PromptTemplate(List<String> texts, List<String> columns) implements Serializable {

  PromptTemplate {
    texts = new ArrayList<>(texts);
    columns = new ArrayList<>(columns);
  }

  /** Placeholder of the fields, where there are some. */
  static final String FIELDS = "fields";

  /** A template over columns, at least one. */
  static PromptTemplate parse(String source) {
    PromptTemplate template = read(source);
    if (template.columns.isEmpty()) {
      throw wrong("names no column; write {name} where its value goes");
    }
    return template;
  }

  /**
   * A template with a place for fields: at {fields}, else on a line after the text.
   *
   * @param source null for the fields alone
   */
  static PromptTemplate withFields(String source) {
    PromptTemplate template = read(source == null ? "" : source);
    if (template.hasFields()) return template;
    List<String> texts = new ArrayList<>(template.texts);
    List<String> columns = new ArrayList<>(template.columns);
    if (source != null) texts.add(texts.remove(texts.size() - 1) + "\n");
    texts.add("");
    columns.add(FIELDS);
    return new PromptTemplate(texts, columns);
  }

  /** Whether a template says itself where fields go. */
  static boolean mentionsFields(String source) {
    return source != null && read(source).hasFields();
  }

  private boolean hasFields() {
    return columns.contains(FIELDS);
  }

  private static PromptTemplate read(String source) {
    List<String> texts = new ArrayList<>();
    List<String> columns = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < source.length(); i++) {
      char c = source.charAt(i);
      boolean doubled = i + 1 < source.length() && source.charAt(i + 1) == c;
      if ((c == '{' || c == '}') && doubled) {
        text.append(c);
        i++;
      } else if (c == '{') {
        int end = source.indexOf('}', i);
        if (end < i + 2) throw wrong("a brace at " + i + " has no column name and closing brace");
        texts.add(text.toString());
        columns.add(source.substring(i + 1, end));
        text.setLength(0);
        i = end;
      } else if (c == '}') {
        throw wrong("a closing brace at " + i + " without an opening one; write }} for a brace");
      } else {
        text.append(c);
      }
    }
    texts.add(text.toString());
    return new PromptTemplate(texts, columns);
  }

  private static JobException wrong(String what) {
    return new JobException(Exit.USAGE, "--prompt-template: " + what);
  }

  /** The text with these values for the columns. */
  String fill(List<String> values) {
    StringBuilder out = new StringBuilder(texts.get(0));
    for (int i = 0; i < values.size(); i++) out.append(values.get(i)).append(texts.get(i + 1));
    return out.toString();
  }
}
