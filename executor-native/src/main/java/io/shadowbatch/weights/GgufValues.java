package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The key-value part of a GGUF header (ggml's docs/gguf.md): scalars become {@link Long}, {@link
 * Double}, {@link Boolean} and {@link String}; arrays the smallest Java array that holds them.
 */
final class GgufValues {
  private static final int NESTING_MAX = 4;
  private static final int ARRAY = 9;
  private static final int PAIR_BYTES_MIN = 13;

  private final Path file;
  private final HeaderReader in;

  GgufValues(Path file, HeaderReader in) {
    this.file = file;
    this.in = in;
  }

  /** Bytes that a key and its value take at least. */
  static int pairBytesMin() {
    return PAIR_BYTES_MIN;
  }

  Map<String, Object> read(int count) throws IOException {
    Map<String, Object> values = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      long at = in.position();
      String key = in.string("key");
      if (values.put(key, value(in.i32(), 0)) != null) {
        throw new ModelFileException(
            file, at, "key " + ModelFileException.quote(key) + " occurs twice, expected once");
      }
    }
    return values;
  }

  private Object value(int type, int depth) throws IOException {
    return switch (type) {
      case 0 -> (long) in.u8();
      case 1 -> (long) (byte) in.u8();
      case 2 -> (long) in.u16();
      case 3 -> (long) (short) in.u16();
      case 4 -> in.i32() & 0xffffffffL;
      case 5 -> (long) in.i32();
      case 6 -> (double) Float.intBitsToFloat(in.i32());
      case 7 -> bool();
      case 8 -> in.string("text");
      case ARRAY -> array(depth);
      case 10, 11 -> in.i64();
      case 12 -> Double.longBitsToDouble(in.i64());
      default ->
          throw new ModelFileException(
              file, in.position() - 4, "value type %d, expected 0 to 12".formatted(type));
    };
  }

  private boolean bool() throws IOException {
    int value = in.u8();
    if (value > 1) {
      throw new ModelFileException(
          file, in.position() - 1, "truth value %d, expected 0 or 1".formatted(value));
    }
    return value == 1;
  }

  private Object array(int depth) throws IOException {
    long at = in.position();
    if (depth >= NESTING_MAX) {
      throw new ModelFileException(
          file, at, "arrays nested deeper than %d levels".formatted(NESTING_MAX));
    }
    int type = in.i32();
    switch (type) {
      case 0, 1, 7 -> {
        byte[] items = new byte[in.count("array items", 1)];
        for (int i = 0; i < items.length; i++) items[i] = (byte) in.u8();
        return items;
      }
      case 2, 3 -> {
        short[] items = new short[in.count("array items", 2)];
        for (int i = 0; i < items.length; i++) items[i] = (short) in.u16();
        return items;
      }
      case 4, 5 -> {
        int[] items = new int[in.count("array items", 4)];
        for (int i = 0; i < items.length; i++) items[i] = in.i32();
        return items;
      }
      case 6 -> {
        float[] items = new float[in.count("array items", 4)];
        for (int i = 0; i < items.length; i++) items[i] = Float.intBitsToFloat(in.i32());
        return items;
      }
      case 8 -> {
        String[] items = new String[in.count("array items", 8)];
        for (int i = 0; i < items.length; i++) items[i] = in.string("array item");
        return items;
      }
      default -> {
        return wideArray(type, at, depth);
      }
    }
  }

  private Object wideArray(int type, long at, int depth) throws IOException {
    switch (type) {
      case ARRAY -> {
        Object[] items = new Object[in.count("array items", 12)];
        for (int i = 0; i < items.length; i++) items[i] = array(depth + 1);
        return items;
      }
      case 10, 11 -> {
        long[] items = new long[in.count("array items", 8)];
        for (int i = 0; i < items.length; i++) items[i] = in.i64();
        return items;
      }
      case 12 -> {
        double[] items = new double[in.count("array items", 8)];
        for (int i = 0; i < items.length; i++) items[i] = Double.longBitsToDouble(in.i64());
        return items;
      }
      default ->
          throw new ModelFileException(
              file, at, "array of value type %d, expected 0 to 12".formatted(type));
    }
  }
}
