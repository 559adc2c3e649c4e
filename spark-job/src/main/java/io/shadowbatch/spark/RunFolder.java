package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.shadowbatch.spark.JobConfig.OnExisting;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

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

  /** Claims an output for a run; an output that exists is refused, or deleted if it is a job's. */
  static RunFolder claim(Configuration conf, String output, OnExisting policy, String runId) {
    Path path = new Path(output);
    try {
      FileSystem files = path.getFileSystem(conf);
      if (files.exists(path)) {
        if (policy == OnExisting.FAIL) {
          throw new JobException(
              Exit.OUTPUT,
              "--output %s exists; choose another, or set --on-existing overwrite"
                  .formatted(output));
        }
        if (!files.exists(marker(path))) {
          throw new JobException(
              Exit.OUTPUT,
              "--output %s exists and no job of ours wrote it (it has no _shadowbatch folder);"
                      .formatted(output)
                  + " delete it yourself or choose another");
        }
        files.delete(path, true);
      }
      RunFolder folder = new RunFolder(files, path, runId);
      files.mkdirs(folder.run);
      return folder;
    } catch (IOException | IllegalArgumentException e) {
      throw new JobException(
          Exit.OUTPUT, "--output " + output + ": cannot be written: " + Failures.firstLine(e), e);
    }
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
      try (FSDataOutputStream out = files.create(temporary, true)) {
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

  /** Files of the output with their lengths. */
  Map<String, Long> parts() {
    Map<String, Long> parts = new java.util.TreeMap<>();
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
