package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.fuzz.FuzzReplay;
import io.shadowbatch.fuzz.FuzzTarget;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.core.LogEvent;
import org.apache.logging.log4j.core.Logger;
import org.apache.logging.log4j.core.appender.AbstractAppender;
import org.apache.logging.log4j.core.config.Property;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Rows that are wrong in any way become error rows, and nothing else tells what they say. */
class HostileRowsTest {
  private static final String SECRET = "Zq7Vx9";
  private static final String CHAT = "[{\"role\":\"user\",\"content\":\"" + SECRET + "\"}]";

  @TempDir Path folder;

  static Stream<FuzzTarget> targets() {
    return Stream.of(new MessagesTarget(), new ParamsTarget(), new RowTarget());
  }

  @ParameterizedTest
  @MethodSource("targets")
  void keptInputsLeadToErrorRowsOnly(FuzzTarget target) throws Exception {
    FuzzReplay.of(target);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"stop_token_ids\":[null]}",
        "{\"stop_token_ids\":[[1]]}",
        "{\"stop\":[null]}",
        "{\"stop\":[\"\"]}",
        "{\"max_tokens\":{}}",
        "{\"n\":1e99}"
      })
  void wrongParameterIsTheRowsError(String params) {
    Prepared row = prepared(null, CHAT, params);
    assertThat(row.error().code()).isEqualTo(ErrorCode.UNSUPPORTED_PARAM);
  }

  @ParameterizedTest
  @ValueSource(strings = {"\\ud800", "\\udc00\\ud800", "a\\ud83d"})
  void halfACharacterIsTheRowsErrorAndNoQuestionMark(String escaped) {
    Prepared row = prepared(null, CHAT.replace(SECRET, escaped), null);
    assertThat(row.error().code()).isEqualTo(ErrorCode.BAD_INPUT);
    assertThat(row.error()).hasMessageContaining("half of a surrogate pair at ");
  }

  @Test
  void textBehindTheMessagesIsRefused() {
    Prepared row = prepared(null, CHAT + " x", null);
    assertThat(row.error().code()).isEqualTo(ErrorCode.BAD_INPUT);
  }

  @Test
  void templateThatRaisesWithAMessageDoesNotTellIt() {
    String quoting = "{{ raise_exception('cannot answer ' ~ messages[1].content) }}";
    Prepared row = prepared(quoting, CHAT, null);
    assertThat(row.error().code()).isEqualTo(ErrorCode.TEMPLATE_ERROR);
    assertThat(row.error())
        .hasMessage("template line 1: raised: a text of 20 characters")
        .extracting(Throwable::toString)
        .asString()
        .doesNotContain(SECRET);
    Prepared literal = prepared("{{ raise_exception('roles must alternate') }}", CHAT, null);
    assertThat(literal.error()).hasMessageEndingWith("raised: 'roles must alternate'");
  }

  /** Goal: a run whose rows fail in each stage tells nobody what their prompts say. */
  @Test
  void runWithFailingRowsLogsNoPromptText() throws IOException {
    StructType schema =
        new StructType()
            .add("id", DataTypes.StringType)
            .add("prompt", DataTypes.BinaryType)
            .add("sampling_params", DataTypes.StringType);
    List<Row> rows = new ArrayList<>();
    rows.add(row("good", SECRET, null));
    rows.add(row("long", (SECRET + " ").repeat(2000), null));
    rows.add(row("word", SECRET.repeat(400_000), null));
    rows.add(row("value", SECRET, "{\"max_tokens\":\"many\"}"));
    rows.add(row("unknown", SECRET, "{\"hue_of_this_test\":1}"));
    rows.add(row("json", SECRET, "{"));
    byte[] broken = (SECRET + "??").getBytes(StandardCharsets.UTF_8);
    broken[SECRET.length()] = (byte) 0xc3;
    rows.add(RowFactory.create("utf8", broken, null));
    LocalSpark.spark(); // it sets up logging, which would lose the appender
    try (CapturedLog log = new CapturedLog()) {
      List<Row> out =
          LocalSpark.run(
                  LocalSpark.spark().createDataFrame(rows, schema),
                  folder,
                  "max-tokens=2",
                  "unknown-params=warn")
              .collectAsList();
      assertThat(out).hasSize(7);
      long errors = 0;
      for (Row row : out) {
        Row error = row.getAs("error");
        if (error == null) continue;
        errors++;
        assertThat(error.mkString()).as(row.<String>getAs("request_id")).doesNotContain(SECRET);
      }
      assertThat(errors).isEqualTo(5);
      assertThat(log.lines).as("what is logged at all").anyMatch(l -> l.contains("hue_of_this"));
      assertThat(log.lines).noneMatch(line -> line.contains(SECRET));
    }
  }

  private static Row row(String id, String prompt, String params) {
    return RowFactory.create(id, prompt.getBytes(StandardCharsets.UTF_8), params);
  }

  private static Prepared prepared(String template, String messages, String params) {
    PrepareTask task = RowTarget.task(template == null ? "{{ messages[1].content }}" : template);
    return RowTarget.prepared(task, messages.getBytes(StandardCharsets.UTF_8), params);
  }

  /** All that is logged in this process, with the stack traces. */
  private static final class CapturedLog extends AbstractAppender implements AutoCloseable {
    private final List<String> lines = new ArrayList<>();
    private final Logger root = (Logger) LogManager.getRootLogger();

    CapturedLog() {
      super("captured", null, null, false, Property.EMPTY_ARRAY);
      start();
      root.addAppender(this);
    }

    @Override
    public synchronized void append(LogEvent event) {
      lines.add(event.getMessage().getFormattedMessage());
      for (Throwable e = event.getThrown(); e != null; e = e.getCause()) lines.add(e.toString());
    }

    @Override
    public void close() {
      root.removeAppender(this);
      stop();
    }
  }
}
