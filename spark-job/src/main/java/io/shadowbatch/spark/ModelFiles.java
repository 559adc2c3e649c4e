package io.shadowbatch.spark;

import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;

/**
 * Models as local files: a local path is used where it is, any other Hadoop path is copied once to
 * the host's model folder.
 */
public final class ModelFiles {

  /** Environment variable with the folder of models. */
  public static final String FOLDER_VARIABLE = "SHADOWBATCH_MODELS";

  private ModelFiles() {}

  /** Where models are kept on this host. */
  public static Path folder() {
    String given = System.getenv(FOLDER_VARIABLE);
    if (given != null && !given.isBlank()) return Path.of(given);
    return Path.of(System.getProperty("user.home"), ".cache", "shadowbatch", "models");
  }

  /** The location, or that of the copy on this host, for processes that know no Hadoop. */
  static String here(String location) {
    return isLocal(uri(location)) ? location : copied(location).toString();
  }

  private static boolean isLocal(URI uri) {
    return uri == null || uri.getScheme() == null || "file".equals(uri.getScheme());
  }

  /** The model as a local path; it exists. */
  static Path local(String location) {
    URI uri = uri(location);
    if (!isLocal(uri)) return copied(location);
    Path path = Path.of(uri == null || uri.getScheme() == null ? location : uri.getPath());
    if (Files.isReadable(path)) return path;
    String why = Files.exists(path) ? "cannot be read" : "does not exist on this host";
    throw missing(location, why, null);
  }

  private static URI uri(String location) {
    try {
      return URI.create(location);
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  private static synchronized Path copied(String location) {
    org.apache.hadoop.fs.Path source = new org.apache.hadoop.fs.Path(location);
    try {
      FileSystem files = source.getFileSystem(new Configuration());
      FileStatus status = files.getFileStatus(source);
      Path target = folder().resolve("copies").resolve(name(location, status, files));
      if (Files.exists(target)) return target;
      Path temporary = target.resolveSibling(target.getFileName() + "." + UUID.randomUUID());
      Files.createDirectories(target.getParent());
      files.copyToLocalFile(false, source, new org.apache.hadoop.fs.Path(temporary.toUri()), true);
      try {
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      } catch (IOException e) {
        if (!Files.exists(target)) throw e;
      }
      return target;
    } catch (IOException | IllegalArgumentException e) {
      throw missing(location, Failures.firstLine(e), e);
    }
  }

  /** A name that changes with the files' place, size and time, and keeps the file's ending. */
  private static String name(String location, FileStatus status, FileSystem files)
      throws IOException {
    StringBuilder text = new StringBuilder(location);
    FileStatus[] all =
        status.isDirectory() ? files.listStatus(status.getPath()) : new FileStatus[] {status};
    for (FileStatus file : all) {
      text.append('\n').append(file.getPath().getName());
      text.append(' ').append(file.getLen()).append(' ').append(file.getModificationTime());
    }
    UUID id = UUID.nameUUIDFromBytes(text.toString().getBytes(StandardCharsets.UTF_8));
    return id + "-" + status.getPath().getName();
  }

  private static JobException missing(String location, String why, Throwable cause) {
    return new JobException(
        Exit.MODEL,
        "--model %s: %s; give a GGUF file, or a folder with safetensors, config.json and"
                .formatted(location, why)
            + " tokenizer.json",
        cause);
  }
}
