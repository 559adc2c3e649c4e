package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.JobConfig.RowDefaults;
import io.shadowbatch.spark.PreparedRows.Prepared;
import io.shadowbatch.spark.PromptReader.Source;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;

/**
 * Turns input rows into prepared rows: renders the prompt, merges parameters, adds signature and
 * request key. Needs no tokenizer; a bad row carries its error along.
 */
record PrepareTask(PromptReader reader, RowDefaults defaults, ModelCard model)
    implements MapPartitionsFunction<Row, Row> {

  private static final long serialVersionUID = 1L;
  private static final int KEY_BYTES = 16;
  private static final byte[] NOTHING = {};

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    ChatRenderer renderer = chat() ? ChatRenderer.open(model, defaults.clock()) : null;
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public Row next() {
        Row row = rows.next();
        return PreparedRows.row(row, reader.kept(), prepare(row, renderer));
      }
    };
  }

  /** Whether prompts are rendered by the model's chat template. */
  boolean chat() {
    return reader.source() == Source.MESSAGES
        || (reader.source() == Source.TEMPLATE && model.chatTemplate() != null);
  }

  private Prepared prepare(Row row, ChatRenderer renderer) {
    String id = reader.id(row);
    String params = null;
    int samples = 1;
    byte[] prompt = null;
    RowException error = null;
    try {
      Map<String, Object> merged =
          RowParams.merge(defaults.params(), reader.params(row), defaults.unknownParams());
      samples = RowParams.samples(merged);
      RowParams.sampling(merged, 0);
      params = RowParams.json(merged);
      prompt = prompt(row, renderer);
    } catch (RowException e) {
      error = e;
    }
    byte[] content = prompt == null ? NOTHING : prompt;
    byte[] hash = PrefixSignature.sha256(content);
    byte[] signature = error == null ? PrefixSignature.of(content, hash) : NOTHING;
    return new Prepared(id, key(hash, params), prompt, params, signature, samples, error);
  }

  private byte[] prompt(Row row, ChatRenderer renderer) {
    String text;
    if (renderer != null) {
      List<Map<String, Object>> chat = reader.chat(row);
      text = renderer.render(chat);
    } else {
      text = reader.source() == Source.TEMPLATE ? reader.filled(row) : reader.prompt(row);
    }
    if (text.isEmpty()) {
      throw new RowException(ErrorCode.EMPTY_PROMPT, "input", "the prompt has no characters");
    }
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** Names what is asked: prompt, parameters and model, whatever the row's place or id. */
  private String key(byte[] promptHash, String params) {
    String rest = "\n" + params + "\n" + model.fingerprint();
    byte[] tail = rest.getBytes(StandardCharsets.UTF_8);
    byte[] all = new byte[promptHash.length + tail.length];
    System.arraycopy(promptHash, 0, all, 0, promptHash.length);
    System.arraycopy(tail, 0, all, promptHash.length, tail.length);
    return HexFormat.of().formatHex(PrefixSignature.sha256(all), 0, KEY_BYTES);
  }
}
