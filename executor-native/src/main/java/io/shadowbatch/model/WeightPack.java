package io.shadowbatch.model;

import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.WeightFile;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The packed weights of a model as one immutable file that all processes of a host map. The name
 * holds the fingerprint of the source and the layout version; a file under its final name is whole,
 * because it is written under another name and renamed.
 */
final class WeightPack {
  private static final Logger LOG = LoggerFactory.getLogger(WeightPack.class);
  private static final Duration RETRY = Duration.ofMillis(50);
  private static final Duration LEFTOVER_AGE = Duration.ofHours(1);

  private final Path file;
  private final PackLayout layout;

  private WeightPack(Path file, PackLayout layout) {
    this.file = file;
    this.layout = layout;
  }

  /** The pack of a model, made now if there is no good one. */
  static WeightPack of(WeightFile source, WeightPlan plan, String fingerprint, PackOptions options)
      throws IOException {
    PackLayout layout = PackLayout.of(source.path(), plan, fingerprint);
    String name = "%s-v%d.pack".formatted(fingerprint, PackLayout.VERSION);
    try {
      Files.createDirectories(options.folder());
    } catch (IOException e) {
      throw new IOException("cannot make the folder for packed weights " + options.folder(), e);
    }
    WeightPack pack = new WeightPack(options.folder().resolve(name), layout);
    if (!pack.isGood()) pack.makeOnce(source, options);
    return pack;
  }

  Path file() {
    return file;
  }

  PackLayout layout() {
    return layout;
  }

  private boolean isGood() throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      String reason = layout.mismatch(channel);
      if (reason != null)
        LOG.warn("packed weights {} are damaged: {}; packing again", file, reason);
      return reason == null;
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  private void makeOnce(WeightFile source, PackOptions options) throws IOException {
    Path lockFile = file.resolveSibling(file.getFileName() + ".lock");
    StandardOpenOption[] create = {StandardOpenOption.CREATE, StandardOpenOption.WRITE};
    try (FileChannel channel = FileChannel.open(lockFile, create);
        FileLock lock = lock(channel, options.lockWait())) {
      if (lock == null) LOG.warn("{} is still locked after {}", lockFile, options.lockWait());
      // Whoever held the lock before has most likely made the pack.
      if (isGood()) return;
      if (lock != null) removeLeftovers();
      make(source, options.threads());
    }
  }

  /** Removes what packers that were killed left; only ones so old that nobody still writes them. */
  private void removeLeftovers() throws IOException {
    String pattern = file.getFileName() + ".*.tmp";
    try (DirectoryStream<Path> left = Files.newDirectoryStream(file.getParent(), pattern)) {
      for (Path path : left) {
        Instant changed = Files.getLastModifiedTime(path).toInstant();
        if (changed.isBefore(Instant.now().minus(LEFTOVER_AGE))) Files.deleteIfExists(path);
      }
    } catch (NoSuchFileException e) {
      LOG.debug("another process removed {}", e.getFile());
    }
  }

  /**
   * The lock, or null if others kept it for too long: then two pack the same, which is harmless.
   */
  private static FileLock lock(FileChannel channel, Duration wait) throws IOException {
    long end = System.nanoTime() + wait.toNanos();
    while (true) {
      FileLock lock = null;
      try {
        lock = channel.tryLock();
      } catch (OverlappingFileLockException e) {
        // Another thread of this JVM has it.
        lock = null;
      } catch (IOException e) {
        LOG.warn("no file locks here, packing without: {}", e.toString());
        return null;
      }
      if (lock != null || System.nanoTime() - end >= 0) return lock;
      try {
        Thread.sleep(RETRY.toMillis());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("waiting for packed weights was interrupted");
      }
    }
  }

  private void make(WeightFile source, int threads) throws IOException {
    long start = System.nanoTime();
    Path temporary = file.resolveSibling(file.getFileName() + "." + UUID.randomUUID() + ".tmp");
    StandardOpenOption[] create = {StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE};
    try {
      try (FileChannel channel = FileChannel.open(temporary, create)) {
        PackWriter.write(source, layout, channel, threads);
        channel.force(true);
      }
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (ModelFileException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(
          "packing %s into %s (%d bytes) failed: %s"
              .formatted(source.path(), file, layout.fileBytes(), e.getMessage()),
          e);
    } finally {
      Files.deleteIfExists(temporary);
    }
    LOG.info(
        "packed {} into {}: {} MB in {} ms",
        source.path(),
        file,
        layout.fileBytes() / 1_000_000,
        (System.nanoTime() - start) / 1_000_000);
  }
}
