package io.shadowbatch.model;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;

/**
 * SHA-256 of a model's source files, remembered under (path, size, time of change, inode) so that
 * gigabytes are hashed once. Forgetting is harmless.
 */
final class Fingerprint {
  private static final int BUFFER_BYTES = 1 << 20;

  /** A file changed this recently may change again within the same clock tick. */
  private static final Duration SETTLED = Duration.ofSeconds(2);

  private final Path index;

  /**
   * @param folder where the remembered digests are kept, in a folder of their own
   */
  Fingerprint(Path folder) {
    this.index = folder.resolve("fingerprints");
  }

  /** Of one file its digest; of several the digest of the lines "name digest". */
  String of(List<Path> sources) throws IOException {
    if (sources.size() == 1) return file(sources.get(0));
    MessageDigest digest = sha256();
    for (Path source : sources) {
      String line = source.getFileName() + " " + file(source) + "\n";
      digest.update(line.getBytes(StandardCharsets.UTF_8));
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private String file(Path source) throws IOException {
    Path real = source.toRealPath();
    String key = key(real);
    Path note = index.resolve(sha256(real.toString()));
    try {
      List<String> lines = Files.readAllLines(note);
      if (lines.size() == 2 && lines.get(0).equals(key) && lines.get(1).matches("[0-9a-f]{64}")) {
        return lines.get(1);
      }
    } catch (IOException e) {
      // Not remembered, or not readable: computed below.
    }
    String result = content(real);
    boolean settled =
        Files.getLastModifiedTime(real).toInstant().isBefore(Instant.now().minus(SETTLED));
    if (settled && key.equals(key(real))) remember(note, key + "\n" + result + "\n");
    return result;
  }

  private static String key(Path real) throws IOException {
    BasicFileAttributes a = Files.readAttributes(real, BasicFileAttributes.class);
    return a.size() + " " + a.lastModifiedTime().toInstant() + " " + a.fileKey();
  }

  private void remember(Path note, String text) {
    Path temporary = index.resolve(UUID.randomUUID() + ".tmp");
    try {
      Files.createDirectories(index);
      Files.writeString(temporary, text);
      Files.move(temporary, note, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      // A folder that cannot be written only means hashing again next time.
      temporary.toFile().delete();
    }
  }

  private static String content(Path file) throws IOException {
    MessageDigest digest = sha256();
    byte[] buffer = new byte[BUFFER_BYTES];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) digest.update(buffer, 0, n);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String sha256(String text) {
    return HexFormat.of().formatHex(sha256().digest(text.getBytes(StandardCharsets.UTF_8)));
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
