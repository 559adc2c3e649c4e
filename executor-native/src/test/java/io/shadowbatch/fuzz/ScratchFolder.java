package io.shadowbatch.fuzz;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;

/** A folder of this process whose files are written again and again; in memory where it can be. */
final class ScratchFolder {
  private static final Path MEMORY = Path.of("/dev/shm");

  private final Path folder;
  private final Map<String, FileChannel> channels = new HashMap<>();

  ScratchFolder() {
    try {
      folder =
          Files.isWritable(MEMORY)
              ? Files.createTempDirectory(MEMORY, "shadowbatch-fuzz")
              : Files.createTempDirectory("shadowbatch-fuzz");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Runtime.getRuntime().addShutdownHook(new Thread(this::delete));
  }

  Path path() {
    return folder;
  }

  /** Puts bytes, then as many zeros, into a file. */
  Path put(String name, byte[] content, int zeros) throws IOException {
    Path file = folder.resolve(name);
    FileChannel channel = channels.get(name);
    if (channel == null) {
      channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      channels.put(name, channel);
    }
    channel.truncate(0);
    channel.write(ByteBuffer.wrap(content), 0);
    if (zeros > 0) channel.write(ByteBuffer.allocate(1), content.length + zeros - 1L);
    return file;
  }

  /** Removes a file if it is there. */
  void remove(String name) throws IOException {
    FileChannel channel = channels.remove(name);
    if (channel == null) return;
    channel.close();
    Files.delete(folder.resolve(name));
  }

  private void delete() {
    try {
      for (String name : channels.keySet().toArray(new String[0])) remove(name);
      Files.delete(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
