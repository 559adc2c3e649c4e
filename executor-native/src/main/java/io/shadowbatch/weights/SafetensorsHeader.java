package io.shadowbatch.weights;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads the header of one safetensors file (huggingface/safetensors, "Format"): 8 bytes length,
 * that much JSON {name: {dtype, shape, data_offsets}}, then the data. Streams, so that a hostile
 * header costs no more memory than its own size.
 */
final class SafetensorsHeader {
  private static final int PREFIX_BYTES = 8;
  private static final long HEADER_BYTES_MAX = 32 << 20;
  private static final int DIMENSIONS_MAX = 8;
  private static final String METADATA = "__metadata__";

  private final Path file;
  private final long data;
  private final long fileBytes;
  private final byte[] json;

  SafetensorsHeader(Path file, FileChannel channel) throws IOException {
    this.file = file;
    fileBytes = channel.size();
    long room = Math.min(HEADER_BYTES_MAX, fileBytes - PREFIX_BYTES);
    if (room < 2) {
      throw new ModelFileException(
          file, 0, "file of %d bytes, expected at least 10".formatted(fileBytes));
    }
    long length = read(channel, 0, PREFIX_BYTES).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 2 || length > room) {
      throw new ModelFileException(
          file,
          0,
          "header of %s bytes, expected 2 to %d".formatted(Long.toUnsignedString(length), room));
    }
    json = read(channel, PREFIX_BYTES, (int) length).array();
    data = PREFIX_BYTES + length;
    // The format asks for it, and other first bytes would mean other encodings than UTF-8.
    if (json[0] != '{') {
      throw new ModelFileException(
          file, PREFIX_BYTES, "header begins with byte %02x, expected 7b".formatted(json[0]));
    }
  }

  private ByteBuffer read(FileChannel channel, long at, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, at + buffer.position()) < 0) {
        throw new ModelFileException(file, at, "file became shorter while it was read");
      }
    }
    return buffer.flip();
  }

  void addTo(TensorTable table) throws IOException {
    try (JsonParser in = JsonFiles.parser(json)) {
      expect(in, in.nextToken(), JsonToken.START_OBJECT, "the header");
      while (in.nextToken() == JsonToken.FIELD_NAME) {
        String name = in.currentName();
        in.nextToken();
        if (name.equals(METADATA)) {
          in.skipChildren();
        } else {
          table.add(tensor(in, name), offset(in));
        }
      }
      if (in.nextToken() != null) throw wrong(in, "the header ends here");
    } catch (ModelFileException e) {
      throw e;
    } catch (IOException e) {
      throw JsonFiles.damaged(file, PREFIX_BYTES, e);
    }
  }

  private TensorInfo tensor(JsonParser in, String name) throws IOException {
    long at = offset(in);
    String dtype = null;
    List<Long> shape = null;
    List<Long> range = null;
    expect(in, in.currentToken(), JsonToken.START_OBJECT, "tensor " + name);
    while (in.nextToken() == JsonToken.FIELD_NAME) {
      String key = in.currentName();
      JsonToken value = in.nextToken();
      switch (key) {
        case "dtype" -> {
          expect(in, value, JsonToken.VALUE_STRING, "dtype");
          dtype = in.getText();
        }
        case "shape" -> shape = integers(in, DIMENSIONS_MAX);
        case "data_offsets" -> range = integers(in, 2);
        default -> throw wrong(in, "one of dtype, shape, data_offsets");
      }
    }
    if (dtype == null || shape == null || range == null || range.size() != 2) {
      throw new ModelFileException(
          file,
          at,
          "tensor %s has dtype %s, shape %s, data_offsets %s, expected all three"
              .formatted(ModelFileException.quote(name), dtype, shape, range));
    }
    QuantType type = QuantType.ofSafetensors(dtype);
    if (type == null) {
      throw new ModelFileException(
          file,
          at,
          "tensor %s has dtype %s, which is not known"
              .formatted(ModelFileException.quote(name), ModelFileException.quote(dtype)));
    }
    return checked(name, at, shape, type, range.get(0), range.get(1));
  }

  private TensorInfo checked(
      String name, long at, List<Long> shape, QuantType type, long from, long to)
      throws ModelFileException {
    long bytes = TensorTable.bytes(file, at, name, shape, type);
    if (from < 0 || to < from || to - from != bytes || to > fileBytes - data) {
      throw new ModelFileException(
          file,
          at,
          "tensor %s %s %s has data_offsets [%d,%d], expected %d bytes of the %d there are"
              .formatted(
                  ModelFileException.quote(name), type, shape, from, to, bytes, fileBytes - data));
    }
    return new TensorInfo(name, file, shape, type, data + from, bytes);
  }

  private List<Long> integers(JsonParser in, int most) throws IOException {
    expect(in, in.currentToken(), JsonToken.START_ARRAY, "a list of integers");
    List<Long> values = new ArrayList<>();
    while (in.nextToken() != JsonToken.END_ARRAY) {
      expect(in, in.currentToken(), JsonToken.VALUE_NUMBER_INT, "an integer");
      if (values.size() == most) throw wrong(in, "at most " + most + " integers");
      values.add(in.getLongValue());
    }
    return values;
  }

  private void expect(JsonParser in, JsonToken found, JsonToken expected, String what)
      throws ModelFileException {
    if (found != expected) throw wrong(in, what + " as " + expected);
  }

  private ModelFileException wrong(JsonParser in, String expected) {
    return new ModelFileException(
        file, offset(in), "found %s, expected %s".formatted(in.currentToken(), expected));
  }

  private static long offset(JsonParser in) {
    return PREFIX_BYTES + Math.max(0, in.currentTokenLocation().getByteOffset());
  }
}
