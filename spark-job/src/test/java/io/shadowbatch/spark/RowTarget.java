package io.shadowbatch.spark;

import io.shadowbatch.fuzz.FuzzTarget;
import io.shadowbatch.spark.PreparedRows.Prepared;
import io.shadowbatch.spark.PromptReader.Source;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** A row of messages, then parameters, through all that makes a request of it. */
public final class RowTarget implements FuzzTarget {
  private static final String TEMPLATE =
      "{% if messages[0].role != 'user' and messages[0].role != 'system' %}"
          + "{{ raise_exception('no ' ~ messages[0].content) }}{% endif %}"
          + "{% for m in messages %}{{ m.role | upper }}: {{ m.content | trim }}\n{% endfor %}";
  private static final StructType SCHEMA =
      new StructType()
          .add(PromptReader.MESSAGES, DataTypes.BinaryType)
          .add(PromptReader.PARAMS, DataTypes.StringType);
  private static final Given GIVEN = new Given();
  private static final Iterator<Row> PREPARED = task(TEMPLATE).call(GIVEN);
  private static final RowTarget ONE = new RowTarget();

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) {
    ONE.accepts(input);
  }

  static PrepareTask task(String template) {
    ModelCard model =
        new ModelCard("m", "m", "f", "llama", template, "<s>", "</s>", 64, 1, 1, 0, 1, 8, 0);
    JobConfig.RowDefaults defaults =
        new JobConfig.RowDefaults(
            ParamsTarget.DEFAULTS,
            1,
            JobConfig.LongPrompts.ERROR,
            JobConfig.UnknownParams.ERROR,
            Instant.EPOCH);
    PromptReader reader = new PromptReader(Source.MESSAGES, null, null, "Be kind.", 0);
    return new PrepareTask(reader, defaults, model, 0);
  }

  /** A row of these messages and parameters, prepared by a task. */
  static Prepared prepared(PrepareTask task, byte[] messages, String params) {
    return PreparedRows.read(task.call(List.of(row(messages, params)).iterator()).next(), 0);
  }

  private static Row row(byte[] messages, String params) {
    return new GenericRowWithSchema(new Object[] {messages, params}, SCHEMA);
  }

  /** A partition without an end, so that its template is parsed once: the row that was set. */
  private static final class Given implements Iterator<Row> {
    private Row row;

    @Override
    public boolean hasNext() {
      return true;
    }

    @Override
    public Row next() {
      return row;
    }
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        FuzzTarget.joined(MessagesTarget.CHAT),
        FuzzTarget.joined(MessagesTarget.CHAT, "{\"max_tokens\":3,\"stop\":[\"a\"]}"),
        FuzzTarget.joined("[{\"role\":\"user\",\"content\":\"a\"}]", "{\"n\":2}"));
  }

  @Override
  public List<String> words() {
    return JSON_WORDS;
  }

  @Override
  public boolean accepts(byte[] input) {
    List<byte[]> parts = FuzzTarget.parts(input);
    String params = parts.size() < 2 ? null : new String(parts.get(1), StandardCharsets.UTF_8);
    GIVEN.row = row(parts.get(0), params);
    Prepared prepared = PreparedRows.read(PREPARED.next(), 0);
    boolean whole = prepared.prompt() != null && prepared.params() != null;
    if (prepared.error() == null != whole) {
      throw new IllegalStateException("error " + prepared.error() + ", whole " + whole);
    }
    return whole;
  }
}
