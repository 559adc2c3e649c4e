package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.shadowbatch.spark.JobConfig.OnExisting;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * The folder {@code _shadowbatch} of an output: what ran, with which configuration, with what
 * result. Readers of the output's Parquet files do not see it.
 */
final class RunFolder {

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final FileSystem files;
  private final Path output;
  private final Path run;

  private RunFolder(FileSystem files, Path output, String runId) {
    this.files = files;
    this.output = output;
    this.run = new Path(marker(output), "runs/" + runId);
  }

  private static Path marker(Path output) {
    return new Path(output, "_shadowbatch");
  }

  /** Refuses an output that exists, unless it is a job's and may be overwritten. */
  static void check(Configuration conf, String output, OnExisting policy) {
    try {
      Path path = new Path(output);
      check(path.getFileSystem(conf), path, policy);
    } catch (IOException | IllegalArgumentException e) {
      throw unwritable(output, e);
    }
  }

  private static void check(FileSystem files, Path output, OnExisting policy) throws IOException {
    if (!files.exists(output)) return;
    if (policy == OnExisting.FAIL) {
      throw new JobException(
          Exit.OUTPUT,
          "--output %s exists; choose another, or set --on-existing overwrite".formatted(output));
    }
    if (!files.exists(marker(output))) {
      throw new JobException(
          Exit.OUTPUT,
          "--output %s exists and no job of ours wrote it (it has no _shadowbatch folder);"
                  .formatted(output)
              + " delete it yourself or choose another");
    }
  }

  /** Claims an output for a run; what a job wrote there before is deleted if the policy says so. */
  static RunFolder claim(Configuration conf, String output, OnExisting policy, String runId) {
    try {
      Path path = new Path(output);
      FileSystem files = path.getFileSystem(conf);
      check(files, path, policy);
      files.delete(path, true);
      RunFolder folder = new RunFolder(plain(files), path, runId);
      folder.mkdirs();
      return folder;
    } catch (IOException | IllegalArgumentException e) {
      throw unwritable(output, e);
    }
  }

  /** Without Hadoop's checksum files beside ours on a local disk. */
  private static FileSystem plain(FileSystem files) {
    return files instanceof LocalFileSystem local ? local.getRaw() : files;
  }

  private void mkdirs() throws IOException {
    if (files instanceof RawLocalFileSystem local) {
      // Hadoop would start a process (chmod) for each folder and file, which takes milliseconds.
      Files.createDirectories(local.pathToFile(run).toPath());
    } else {
      files.mkdirs(run);
    }
  }

  private OutputStream create(Path file) throws IOException {
    return files instanceof RawLocalFileSystem local
        ? Files.newOutputStream(local.pathToFile(file).toPath())
        : files.create(file, true);
  }

  private static JobException unwritable(String output, Exception e) {
    return new JobException(
        Exit.OUTPUT, "--output " + output + ": cannot be written: " + Failures.firstLine(e), e);
  }

  /** Writes one of the run's records. */
  void write(String name, Map<String, Object> content) {
    write(new Path(run, name), content);
  }

  /** Writes the record of the whole output; the last thing that a finished run does. */
  void writeManifest(Map<String, Object> content) {
    write(new Path(marker(output), "manifest.json"), content);
  }

  private void write(Path target, Map<String, Object> content) {
    Path temporary = new Path(target.getParent(), "." + target.getName() + ".tmp");
    try {
      try (OutputStream out = create(temporary)) {
        out.write(text(content).getBytes(StandardCharsets.UTF_8));
      }
      files.delete(target, false);
      if (!files.rename(temporary, target)) throw new IOException("rename failed");
    } catch (IOException e) {
      throw new JobException(
          Exit.OUTPUT, target + ": cannot be written: " + Failures.firstLine(e), e);
    }
  }

  private static String text(Map<String, Object> content) throws JsonProcessingException {
    return JSON.writeValueAsString(content) + "\n";
  }

  /** Rows in the output's files; -1 if they are too many to look into. */
  long rows(Configuration conf) {
    List<String> paths =
        parts().keySet().stream().map(p -> new Path(output, p).toString()).toList();
    return RowCount.footers(paths, conf);
  }

  /** Files of the output with their lengths. */
  Map<String, Long> parts() {
    Map<String, Long> parts = new TreeMap<>();
    try {
      for (var file : files.listStatus(output)) {
        String name = file.getPath().getName();
        if (file.isFile() && name.startsWith("part-")) parts.put(name, file.getLen());
      }
    } catch (IOException e) {
      throw new JobException(
          Exit.OUTPUT, output + ": cannot be listed: " + Failures.firstLine(e), e);
    }
    return parts;
  }
}
