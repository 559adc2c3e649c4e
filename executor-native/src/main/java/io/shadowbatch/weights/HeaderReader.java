package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Reads little-endian values one after the other through a small window, so that a header of any
 * size costs no more memory than what it says. Never reads, and never allocates for, bytes that the
 * file does not have.
 */
final class HeaderReader {
  private static final int WINDOW_BYTES = 1 << 16;
  private static final int STRING_BYTES_MAX = 1 << 24;

  private final Path file;
  private final FileChannel channel;
  private final long fileBytes;
  private final ByteBuffer window =
      ByteBuffer.allocate(WINDOW_BYTES).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  private long windowStart;

  HeaderReader(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    this.fileBytes = channel.size();
  }

  /** Offset of the next byte. */
  long position() {
    return windowStart + window.position();
  }

  /** Bytes of the file that are still ahead. */
  long remaining() {
    return fileBytes - position();
  }

  int u8() throws IOException {
    need(1, "a byte");
    return window.get() & 0xff;
  }

  int u16() throws IOException {
    need(2, "a 16-bit value");
    return window.getShort() & 0xffff;
  }

  int i32() throws IOException {
    need(4, "a 32-bit value");
    return window.getInt();
  }

  long i64() throws IOException {
    need(8, "a 64-bit value");
    return window.getLong();
  }

  /** A count of things that take at least {@code bytesEach} bytes of the rest of the file. */
  int count(String what, int bytesEach) throws IOException {
    long at = position();
    long count = i64();
    long most = Math.min(Integer.MAX_VALUE - 8, remaining() / bytesEach);
    if (count < 0 || count > most) {
      throw new ModelFileException(
          file,
          at,
          "%s %s, expected at most %d, for which the file has room"
              .formatted(Long.toUnsignedString(count), what, most));
    }
    return (int) count;
  }

  /** A 64-bit length and as many bytes of UTF-8. */
  String string(String what) throws IOException {
    long at = position();
    long length = i64();
    long most = Math.min(STRING_BYTES_MAX, remaining());
    if (length < 0 || length > most) {
      throw new ModelFileException(
          file,
          at,
          "%s of %s bytes, expected at most %d"
              .formatted(what, Long.toUnsignedString(length), most));
    }
    byte[] bytes = new byte[(int) length];
    for (int done = 0; done < bytes.length; ) {
      need(1, what);
      int step = Math.min(window.remaining(), bytes.length - done);
      window.get(bytes, done, step);
      done += step;
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private void need(int bytes, String what) throws IOException {
    if (window.remaining() >= bytes) return;
    long at = position();
    if (remaining() < bytes) {
      throw new ModelFileException(
          file,
          at,
          "header ends within %s: needs %d bytes, the file has %d left"
              .formatted(what, bytes, remaining()));
    }
    window.compact();
    windowStart = at;
    while (window.position() < bytes) {
      if (channel.read(window, windowStart + window.position()) < 0) {
        throw new ModelFileException(file, at, "file became shorter while it was read");
      }
    }
    window.flip();
  }
}
