package io.shadowbatch.kernels.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Compiled kernels in a folder of the user, which processes share: a file appears whole or not at
 * all. It is only a cache, so what cannot be read or written is not there.
 */
final class KernelCache {
  static final long BYTES_MAX = 64L << 20;

  private static final String ENDING = ".cubin";

  private final Path folder;
  private final long bytesMax;

  KernelCache(Path folder, long bytesMax) {
    this.folder = folder;
    this.bytesMax = bytesMax;
  }

  /** {@code $XDG_CACHE_HOME/shadowbatch/cuda}, by default in {@code ~/.cache}. */
  static KernelCache open() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path parent =
        xdg != null && !xdg.isBlank()
            ? Path.of(xdg)
            : Path.of(System.getProperty("user.home"), ".cache");
    return new KernelCache(parent.resolve("shadowbatch").resolve("cuda"), BYTES_MAX);
  }

  Optional<byte[]> get(String key) {
    Path file = folder.resolve(key + ENDING);
    try {
      byte[] bytes = Files.readAllBytes(file);
      Files.setLastModifiedTime(file, FileTime.from(Instant.now()));
      return Optional.of(bytes);
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Then removes those that were not used for longest, until the rest is small enough. */
  void put(String key, byte[] image) {
    try {
      Files.createDirectories(folder);
      Path part = Files.createTempFile(folder, "", ".part");
      Files.write(part, image);
      Files.move(part, folder.resolve(key + ENDING), StandardCopyOption.ATOMIC_MOVE);
      prune();
    } catch (IOException e) {
      // A folder that cannot be written costs the next process a second for each file.
      return;
    }
  }

  private void prune() throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      List<Path> newest =
          all.filter(f -> f.toString().endsWith(ENDING))
              .sorted(Comparator.comparing(KernelCache::used).reversed())
              .toList();
      long bytes = 0;
      for (Path file : newest) {
        bytes += Files.size(file);
        if (bytes > bytesMax) Files.deleteIfExists(file);
      }
    }
  }

  private static FileTime used(Path file) {
    try {
      return Files.getLastModifiedTime(file);
    } catch (IOException e) {
      // Another process has removed it.
      return FileTime.fromMillis(0);
    }
  }
}
