package io.shadowbatch.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Reads the JSON files beside a model's weights, with limits on size, depth and duplicates. */
final class JsonFiles {
  private static final long BYTES_MAX = 16 << 20;
  private static final int DEPTH_MAX = 64;

  /** Parses with the limits of this class. */
  static final JsonFactory FACTORY =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(DEPTH_MAX)
                  .maxNumberLength(100)
                  .build())
          .build();

  private static final ObjectMapper MAPPER =
      JsonMapper.builder(FACTORY)
          .enable(DeserializationFeature.USE_LONG_FOR_INTS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          // Python writes these three into configurations.
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .build();

  private JsonFiles() {}

  /** The object in a file, or null if there is no such file. */
  @SuppressWarnings("unchecked")
  static Metadata read(Path file) throws IOException {
    if (!Files.isRegularFile(file)) return null;
    byte[] bytes = bytes(file);
    Map<String, Object> values;
    try {
      values = MAPPER.readValue(bytes, Map.class);
    } catch (IOException e) {
      throw damaged(file, 0, e);
    }
    if (values == null) throw new ModelFileException(file, "holds null, expected a JSON object");
    return new Metadata(file, values);
  }

  /** The text in a file of UTF-8, or null if there is no such file. */
  static String text(Path file) throws IOException {
    if (!Files.isRegularFile(file)) return null;
    byte[] bytes = bytes(file);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new ModelFileException(file, "holds bytes that are no UTF-8, expected text");
    }
  }

  private static byte[] bytes(Path file) throws IOException {
    long size = Files.size(file);
    if (size > BYTES_MAX) {
      throw new ModelFileException(
          file, "file of %d bytes, expected at most %d".formatted(size, BYTES_MAX));
    }
    return Files.readAllBytes(file);
  }

  /** An error about JSON that starts at byte {@code at} of a file and was read from memory. */
  static ModelFileException damaged(Path file, long at, IOException e) {
    if (!(e instanceof JsonProcessingException json)) {
      return new ModelFileException(file, at, "expected a JSON object: " + e.getMessage());
    }
    long offset = json.getLocation() == null ? 0 : Math.max(0, json.getLocation().getByteOffset());
    return new ModelFileException(
        file, at + offset, "expected a JSON object: " + json.getOriginalMessage());
  }

  /** A parser of {@code bytes}. */
  static JsonParser parser(byte[] bytes) throws IOException {
    return FACTORY.createParser(bytes);
  }
}
