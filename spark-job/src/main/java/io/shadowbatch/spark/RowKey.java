package io.shadowbatch.spark;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import org.apache.spark.sql.Row;
import scala.collection.Iterable;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Names a row of the input by all that its output depends on: the request key, the user's key and
 * the columns that pass through. Rows of the same name are equal; a job that goes on where another
 * was killed counts them.
 */
final class RowKey {
  private static final int BYTES = 16;

  private final MessageDigest sha256 = sha256();

  private RowKey() {}

  /**
   * The name: 32 hexadecimal digits.
   *
   * @param id may be null
   * @param kept values as Spark's rows hold them
   */
  static String of(String requestKey, String id, Object[] kept) {
    RowKey key = new RowKey();
    key.add(requestKey);
    key.add(id);
    for (Object value : kept) key.add(value);
    return HexFormat.of().formatHex(key.sha256.digest(), 0, BYTES);
  }

  /** Each value with its kind and its length, so that no two lists of values look alike. */
  private void add(Object value) {
    if (value == null) {
      add('0', new byte[0]);
    } else if (value instanceof byte[] bytes) {
      add('b', bytes);
    } else if (value instanceof Row row) {
      begin('r', row.size());
      for (int i = 0; i < row.size(); i++) add(row.get(i));
    } else if (value instanceof scala.collection.Map<?, ?> map) {
      add(CollectionConverters.asJava(map));
    } else if (value instanceof Map<?, ?> map) {
      addMap(map);
    } else if (value instanceof Iterable<?> values) {
      begin('a', values.size());
      for (Object v : CollectionConverters.asJava(values)) add(v);
    } else if (value instanceof java.util.Collection<?> values) {
      begin('a', values.size());
      for (Object v : values) add(v);
    } else if (value instanceof Object[] values) {
      begin('a', values.length);
      for (Object v : values) add(v);
    } else {
      String text = value.getClass().getSimpleName() + " " + value;
      add('v', text.getBytes(StandardCharsets.UTF_8));
    }
  }

  /** Entries have no order that could be relied on. */
  private void addMap(Map<?, ?> map) {
    byte[][] entries = new byte[map.size()][];
    int next = 0;
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      RowKey one = new RowKey();
      one.add(entry.getKey());
      one.add(entry.getValue());
      entries[next++] = one.sha256.digest();
    }
    Arrays.sort(entries, Arrays::compareUnsigned);
    begin('m', entries.length);
    for (byte[] entry : entries) sha256.update(entry);
  }

  private void add(char kind, byte[] content) {
    begin(kind, content.length);
    sha256.update(content);
  }

  private void begin(char kind, int size) {
    sha256.update(ByteBuffer.allocate(5).put((byte) kind).putInt(size).array());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
