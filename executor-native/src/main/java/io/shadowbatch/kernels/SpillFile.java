package io.shadowbatch.kernels;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A file that backs memory: written in full before it is mapped, as a hole could fail a write. */
public final class SpillFile {
  private static final int PIECE = 1 << 20;

  private SpillFile() {}

  /**
   * Zeroed memory over a new file without a name.
   *
   * @param bytes at least 1, below 2 GiB
   * @throws IOException if the folder cannot be written, or has no room
   */
  public static MappedByteBuffer map(Path folder, long bytes) throws IOException {
    Path file = Files.createTempFile(folder, "shadowbatch-values-", ".mem");
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer zeros = ByteBuffer.allocate(PIECE);
      for (long at = 0; at < bytes; ) {
        zeros.clear().limit((int) Math.min(PIECE, bytes - at));
        at += channel.write(zeros, at);
      }
      return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes);
    } finally {
      Files.delete(file); // what is mapped stays until nobody uses it
    }
  }
}
