package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** Writes safetensors files for tests. */
public final class SafetensorsWriter {
  private final List<Item> tensors = new ArrayList<>();

  private record Item(String name, long[] shape, QuantType type, byte[] data) {}

  /** Adds a tensor. */
  public SafetensorsWriter tensor(String name, QuantType type, byte[] data, long... shape) {
    tensors.add(new Item(name, shape, type, data));
    return this;
  }

  /** Names of all tensors. */
  public List<String> names() {
    return tensors.stream().map(Item::name).toList();
  }

  /** Writes an honest file. */
  public Path write(Path file) throws IOException {
    long at = 0;
    List<String> entries = new ArrayList<>();
    entries.add("\"__metadata__\":{\"format\":\"pt\"}");
    for (Item t : tensors) {
      entries.add(
          "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
              .formatted(t.name, t.type, Arrays.toString(t.shape), at, at + t.data.length));
      at += t.data.length;
    }
    String header = entries.stream().collect(Collectors.joining(",", "{", "}"));
    byte[] data = new byte[(int) at];
    int filled = 0;
    for (Item t : tensors) {
      System.arraycopy(t.data, 0, data, filled, t.data.length);
      filled += t.data.length;
    }
    return writeRaw(file, header, data);
  }

  /** Writes any header in front of any data. */
  public static Path writeRaw(Path file, String header, byte[] data) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer b = ByteBuffer.allocate(8 + json.length + data.length);
    b.order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json).put(data);
    Files.write(file, b.array());
    return file;
  }
}
