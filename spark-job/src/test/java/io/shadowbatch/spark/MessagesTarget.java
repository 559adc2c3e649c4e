package io.shadowbatch.spark;

import io.shadowbatch.fuzz.FuzzTarget;
import java.util.List;
import java.util.Map;

/** The JSON of a messages column, as the body of an OpenAI batch line has it. */
public final class MessagesTarget implements FuzzTarget {
  static final String CHAT =
      "[{\"role\":\"system\",\"content\":\"Be brief.\"},"
          + "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi \\u00e9\"}]},"
          + "{\"role\":\"assistant\",\"content\":\"Yes\",\"n\":1,\"f\":0.5,\"x\":null}]";
  private static final MessagesTarget ONE = new MessagesTarget();

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) {
    ONE.accepts(input);
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        FuzzTarget.joined(CHAT), FuzzTarget.joined("[{\"role\":\"user\",\"content\":\"a\"}]"));
  }

  @Override
  public List<String> words() {
    return JSON_WORDS;
  }

  @Override
  public boolean accepts(byte[] input) {
    try {
      for (Map<String, Object> message : Messages.read(input)) {
        if (!(message.get("content") instanceof String)) {
          throw new IllegalStateException("content is " + message.get("content"));
        }
      }
      return true;
    } catch (RowException e) {
      return false;
    }
  }
}
