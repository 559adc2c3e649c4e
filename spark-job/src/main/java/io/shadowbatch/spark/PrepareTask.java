package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.JobConfig.RowDefaults;
import io.shadowbatch.spark.PreparedRows.Prepared;
import io.shadowbatch.spark.PromptReader.Source;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;

/**
 * Turns input rows into prepared rows: renders the prompt, merges parameters, adds signature and
 * request key. Needs no tokenizer; a bad row carries its error along.
 *
 * @param rootBytes of each prompt that its signature leaves out, because all prompts share them
 */
record PrepareTask(PromptReader reader, RowDefaults defaults, ModelCard model, int rootBytes)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;
  private static final int KEY_BYTES = 16;
  private static final byte[] NOTHING = {};

  /**
   * A row's parameters, checked.
   *
   * @param keyTail what the request key is made of besides the prompt
   */
  private record Params(String json, int samples, byte[] keyTail) {}

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    Prompts prompts = prompts();
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public Row next() {
        Row row = rows.next();
        return PreparedRows.row(row, reader.kept(), prompts.prepared(row));
      }
    };
  }

  /** Whether prompts are rendered by the model's chat template, unless their row says otherwise. */
  boolean chat() {
    return switch (reader.source()) {
      case PROMPT -> false;
      case TEMPLATE -> model.chatTemplate() != null;
      case MESSAGES, OPENAI -> true;
    };
  }

  /** The prompts of one partition, with a renderer of their own. */
  Prompts prompts() {
    boolean rendered = chat() && model.chatTemplate() != null;
    return new Prompts(rendered ? ChatRenderer.open(model, defaults.clock()) : null);
  }

  /** The same signing below a prefix that all prompts share. */
  PrepareTask below(int newRootBytes) {
    return new PrepareTask(reader, defaults, model, newRootBytes);
  }

  /** Renders row after row. */
  final class Prompts {
    private final ChatRenderer renderer;
    private final Params none = keyed(null, 1);
    private Params jobs;

    private Prompts(ChatRenderer renderer) {
      this.renderer = renderer;
    }

    /** A row's prompt, or null if the row has an error. */
    byte[] of(Row row) {
      try {
        OpenAiRequest line = line(row);
        Map<String, ?> own = line == null ? reader.params(row) : line.params();
        if (!own.isEmpty()) checked(merged(own));
        return prompt(row, line);
      } catch (RowException e) {
        return null;
      }
    }

    private Prepared prepared(Row row) {
      String id = reader.id(row);
      Params params = none;
      byte[] prompt = null;
      RowException error = null;
      try {
        OpenAiRequest line = line(row);
        Map<String, ?> own = line == null ? reader.params(row) : line.params();
        if (own.isEmpty()) {
          params = jobs();
        } else {
          Map<String, Object> merged = merged(own);
          // a row whose other parameters are wrong still has as many errors as it wanted answers
          params = keyed(null, RowParams.samples(merged));
          params = checked(merged);
        }
        prompt = prompt(row, line);
      } catch (RowException e) {
        error = e;
      }
      byte[] content = prompt == null ? NOTHING : prompt;
      byte[] hash = PrefixSignature.sha256(content);
      int root = Math.min(rootBytes, content.length);
      byte[] signature = error == null ? PrefixSignature.of(content, hash, root) : NOTHING;
      String key = key(hash, params.keyTail);
      return new Prepared(id, key, prompt, params.json, signature, params.samples, error);
    }

    /** Most rows have no parameters of their own: the job's are typed and written once. */
    private Params jobs() {
      if (jobs == null) jobs = checked(merged(Map.of()));
      return jobs;
    }

    private Map<String, Object> merged(Map<String, ?> own) {
      return RowParams.merge(defaults.params(), own, defaults.unknownParams());
    }

    private Params checked(Map<String, Object> merged) {
      int samples = RowParams.samples(merged);
      RowParams.sampling(merged, 0);
      return keyed(RowParams.json(merged), samples);
    }

    /** What an OpenAI line asks; null for rows of columns. */
    private OpenAiRequest line(Row row) {
      return reader.source() == Source.OPENAI ? OpenAiRequest.read(row) : null;
    }

    private byte[] prompt(Row row, OpenAiRequest line) {
      String text;
      if (line != null) {
        text = line.prompt() != null ? line.prompt() : rendered(reader.chat(line, row));
      } else if (renderer != null) {
        List<Map<String, Object>> chat = reader.chat(row);
        text = renderer.render(chat);
      } else {
        text = reader.source() == Source.TEMPLATE ? reader.filled(row) : reader.prompt(row);
      }
      if (text.isEmpty()) {
        throw new RowException(ErrorCode.EMPTY_PROMPT, "input", "the prompt has no characters");
      }
      return Utf8.encode(text, "prompt");
    }

    private String rendered(List<Map<String, Object>> chat) {
      if (renderer != null) return renderer.render(chat);
      throw new RowException(
          ErrorCode.TEMPLATE_ERROR,
          "template",
          "the model has no chat template; ask %s with a prompt, or take another model"
              .formatted(OpenAiRequest.COMPLETIONS));
    }
  }

  private Params keyed(String json, int samples) {
    String tail = "\n" + json + "\n" + model.fingerprint();
    return new Params(json, samples, tail.getBytes(StandardCharsets.UTF_8));
  }

  /** Names what is asked: prompt, parameters and model, whatever the row's place or id. */
  private static String key(byte[] promptHash, byte[] tail) {
    byte[] all = Arrays.copyOf(promptHash, promptHash.length + tail.length);
    System.arraycopy(tail, 0, all, promptHash.length, tail.length);
    return HexFormat.of().formatHex(PrefixSignature.sha256(all), 0, KEY_BYTES);
  }
}
