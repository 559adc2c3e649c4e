package io.shadowbatch.spark;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;

/**
 * What a task and its engine's process say to each other: each a line of JSON, in which numbers
 * keep all their bits and texts all their characters.
 */
@JsonTypeInfo(use = JsonTypeInfo.Id.MINIMAL_CLASS, property = "is")
sealed interface GuardMessage {

  /** To the engine, first: what to open, as a serialized {@link GuardedEngine.Start}. */
  record Open(byte[] start) implements GuardMessage {}

  /** To the engine: a request, more of which may follow at once. */
  record Compute(Request request) implements GuardMessage {}

  /** To the engine: no request follows for now. */
  record Pause() implements GuardMessage {}

  /** To the engine: a text to turn into tokens. */
  record Encode(String text, InferenceTask.RawPrompts prompts) implements GuardMessage {}

  /** To the engine: a token whose text is wanted. */
  record Spell(int token) implements GuardMessage {}

  /** The engine is open. */
  record Opened(int contextTokens, StepCosts costs, KvChoice choice) implements GuardMessage {}

  /** It cannot be opened, for a reason that the user can mend. */
  record Refused(JobException.Exit exit, String message) implements GuardMessage {}

  /** A sign of life, each second. */
  record Beat(EngineMetrics metrics) implements GuardMessage {}

  /** A request's answer, and what the engine has done by then. */
  record Answered(Completion completion, EngineMetrics metrics) implements GuardMessage {}

  /** The tokens of a text, or why it has none. */
  record Encoded(int[] tokens, String error) implements GuardMessage {}

  /** The text of a token. */
  record Spelled(String text) implements GuardMessage {}

  /** The engine failed, and its process ends. */
  record Failed(String how) implements GuardMessage {}

  /** Said by nobody: the process has ended, in words. */
  record Ended(String how) implements GuardMessage {}

  /** Reads and writes messages. */
  ObjectMapper JSON =
      new ObjectMapper(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxStringLength(Integer.MAX_VALUE).build())
                  // Also of halves of surrogate pairs, which UTF-8 cannot say.
                  .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
                  .build())
          .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS);

  /** The line without its end; ASCII only. */
  default String line() {
    try {
      return JSON.writerFor(GuardMessage.class).writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a message cannot be written: " + e.getOriginalMessage(), e);
    }
  }

  /** The message of a line; null if it is none, such as what native code prints. */
  static GuardMessage of(String line) {
    if (!line.startsWith("{\"is\":")) return null;
    try {
      return JSON.readValue(line, GuardMessage.class);
    } catch (JsonProcessingException e) {
      // Its text may hold a prompt: only the place is told.
      throw new IllegalStateException("a message cannot be read, " + e.getLocation());
    }
  }
}
