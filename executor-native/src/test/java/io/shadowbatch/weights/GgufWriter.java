package io.shadowbatch.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes GGUF files for tests, honest ones by default. */
public final class GgufWriter {
  private final Map<String, Object> values = new LinkedHashMap<>();
  private final List<Item> tensors = new ArrayList<>();
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private int version = 3;
  private int alignment = 32;

  private record Item(String name, long[] shape, QuantType type, byte[] data) {}

  /** Sets a key; Integer becomes u32, Long u64, Float f32, Double f64. */
  public GgufWriter put(String key, Object value) {
    values.put(key, value);
    return this;
  }

  /** Takes a key out. */
  public GgufWriter remove(String key) {
    values.remove(key);
    return this;
  }

  /** Sets the file version. */
  public GgufWriter version(int number) {
    version = number;
    return this;
  }

  /** Sets and writes the alignment of tensors. */
  public GgufWriter alignment(int bytes) {
    alignment = bytes;
    return put("general.alignment", bytes);
  }

  /** Adds a tensor; the shape is row-major. */
  public GgufWriter tensor(String name, QuantType type, byte[] data, long... shape) {
    tensors.add(new Item(name, shape, type, data));
    return this;
  }

  /** Takes a tensor out. */
  public GgufWriter removeTensor(String name) {
    tensors.removeIf(t -> t.name.equals(name));
    return this;
  }

  /** Writes the file and returns its path. */
  public Path write(Path file) throws IOException {
    Files.write(file, bytes());
    return file;
  }

  /** The whole file. */
  public byte[] bytes() {
    byte[] header = header();
    out.write(header, 0, header.length);
    pad(alignment);
    for (Item tensor : tensors) {
      out.write(tensor.data, 0, tensor.data.length);
      pad(alignment);
    }
    byte[] result = out.toByteArray();
    out.reset();
    return result;
  }

  /** The file up to the data section. */
  public byte[] header() {
    i32(0x46554747);
    i32(version);
    i64(tensors.size());
    i64(values.size());
    values.forEach(
        (key, value) -> {
          string(key);
          value(value);
        });
    long offset = 0;
    for (Item tensor : tensors) {
      string(tensor.name);
      i32(tensor.shape.length);
      for (int i = tensor.shape.length - 1; i >= 0; i--) i64(tensor.shape[i]);
      i32(tensor.type.ggmlId());
      i64(offset);
      offset += (tensor.data.length + alignment - 1L) / alignment * alignment;
    }
    byte[] result = out.toByteArray();
    out.reset();
    return result;
  }

  private void value(Object value) {
    if (value instanceof Integer v) {
      i32(4);
      i32(v);
    } else if (value instanceof Long v) {
      i32(10);
      i64(v);
    } else if (value instanceof Float v) {
      i32(6);
      i32(Float.floatToIntBits(v));
    } else if (value instanceof Double v) {
      i32(12);
      i64(Double.doubleToLongBits(v));
    } else if (value instanceof Boolean v) {
      i32(7);
      out.write(v ? 1 : 0);
    } else if (value instanceof String v) {
      i32(8);
      string(v);
    } else {
      i32(9);
      array(value);
    }
  }

  private void array(Object value) {
    if (value instanceof String[] v) {
      arrayHead(8, v.length);
      for (String item : v) string(item);
    } else if (value instanceof int[] v) {
      arrayHead(5, v.length);
      for (int item : v) i32(item);
    } else if (value instanceof float[] v) {
      arrayHead(6, v.length);
      for (float item : v) i32(Float.floatToIntBits(item));
    } else if (value instanceof byte[] v) {
      arrayHead(0, v.length);
      out.writeBytes(v);
    } else if (value instanceof long[] v) {
      arrayHead(11, v.length);
      for (long item : v) i64(item);
    } else if (value instanceof Object[] v) {
      arrayHead(9, v.length);
      for (Object item : v) array(item);
    } else {
      throw new IllegalArgumentException("no GGUF type for " + value.getClass());
    }
  }

  private void arrayHead(int type, int length) {
    i32(type);
    i64(length);
  }

  private void string(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    i64(bytes.length);
    out.writeBytes(bytes);
  }

  private void i32(int value) {
    out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
  }

  private void i64(long value) {
    out.writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
  }

  private void pad(int to) {
    while (out.size() % to != 0) out.write(0);
  }
}
