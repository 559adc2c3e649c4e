package io.shadowbatch.spark;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.shadowbatch.ledger.OutputFiles;
import io.shadowbatch.ledger.RunLock;
import io.shadowbatch.spark.JobConfig.OnExisting;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * The folder {@code _shadowbatch} of an output: who owns it, what ran, with which configuration,
 * with what result. Readers of the output's Parquet files do not see it.
 */
final class RunFolder implements AutoCloseable {
  static final String NAME = "_shadowbatch";
  private static final String SUCCESS = "_SUCCESS";

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final OutputFiles files;
  private final Path output;
  private final String runId;
  private final RunLock lock;

  private RunFolder(OutputFiles files, Path output, String runId, RunLock lock) {
    this.files = files;
    this.output = output;
    this.runId = runId;
    this.lock = lock;
  }

  private static Path marker(Path output) {
    return new Path(output, NAME);
  }

  private static Path described(Path output) {
    return new Path(marker(output), "output.json");
  }

  /** The folder of one run's records. */
  static Path of(Path output, String runId) {
    return new Path(marker(output), "runs/" + runId);
  }

  /**
   * Refuses an output that exists, unless it is a job's and may be continued or overwritten.
   *
   * @return what the job that began it wrote of itself; empty if there is none to continue
   */
  static Map<String, Object> check(Configuration conf, String output, OnExisting policy) {
    try {
      Path path = new Path(output);
      OutputFiles files = OutputFiles.of(conf, path);
      check(files, path, policy);
      return policy == OnExisting.RESUME ? described(files, path) : Map.of();
    } catch (IOException | IllegalArgumentException e) {
      throw unwritable(output, e);
    }
  }

  /** What the job that began an output wrote of itself; empty if none did. */
  static Map<String, Object> described(OutputFiles files, Path output) throws IOException {
    byte[] json = files.read(described(output));
    return json == null ? Map.of() : JSON.readerForMapOf(Object.class).readValue(json);
  }

  private static void check(OutputFiles files, Path output, OnExisting policy) throws IOException {
    if (!files.exists(output)) return;
    if (policy == OnExisting.FAIL) {
      throw new JobException(
          Exit.OUTPUT,
          "--output %s exists; choose another, or set --on-existing resume or overwrite"
              .formatted(output));
    }
    boolean empty = policy == OnExisting.RESUME && files.list(output).isEmpty();
    if (!empty && !files.exists(marker(output))) {
      throw new JobException(
          Exit.OUTPUT,
          "--output %s exists and no job of ours wrote it (it has no %s folder);"
                  .formatted(output, NAME)
              + " delete it yourself or choose another");
    }
  }

  /**
   * Claims an output for a run: no other run has it, and none that had it can commit any more. What
   * a job wrote there before stays, or is deleted if the policy says so.
   *
   * @param lost told if another run takes the output in spite of this one
   */
  static RunFolder claim(
      Configuration conf, String output, OnExisting policy, String runId, Runnable lost) {
    try {
      Path path = new Path(output);
      OutputFiles files = OutputFiles.of(conf, path);
      check(files, path, policy);
      files.mkdirs(marker(path));
      RunLock lock = RunLock.take(files, marker(path), runId, lost);
      RunFolder folder = new RunFolder(files, path, runId, lock);
      if (policy == OnExisting.OVERWRITE) folder.empty();
      folder.fence();
      files.mkdirs(Commits.staging(path, runId));
      files.mkdirs(of(path, runId));
      return folder;
    } catch (RunLock.HeldException e) {
      throw new JobException(
          Exit.OUTPUT,
          "--output %s: another run writes it (%s); wait for its end, or stop it"
              .formatted(output, e.getMessage()),
          e);
    } catch (IOException | IllegalArgumentException e) {
      throw unwritable(output, e);
    }
  }

  private void empty() throws IOException {
    for (FileStatus file : files.list(output)) {
      if (!file.getPath().getName().equals(NAME)) files.delete(file.getPath());
    }
    for (String name : new String[] {"manifest.json", "output.json", "runs"}) {
      files.delete(new Path(marker(output), name));
    }
  }

  /** Executors of runs that were killed may still live for a while. */
  private void fence() throws IOException {
    for (FileStatus run : files.list(Commits.staging(output, runId).getParent())) {
      files.takeAway(run.getPath());
    }
  }

  private static JobException unwritable(Object target, Exception e) {
    return new JobException(
        Exit.OUTPUT, "--output " + target + ": cannot be written: " + Failures.firstLine(e), e);
  }

  /** Content of a record of the output, as {@link #describe} wrote it; empty if there is none. */
  Map<String, Object> described() {
    try {
      return described(files, output);
    } catch (IOException e) {
      throw unwritable(described(output), e);
    }
  }

  /** Writes what the output is: what all its runs have in common. */
  void describe(Map<String, Object> content) {
    write(described(output), content);
  }

  /** Writes one of the run's records. */
  void write(String name, Map<String, Object> content) {
    write(new Path(of(output, runId), name), content);
  }

  /** Tells the run's tasks to commit what they have and to end. */
  void stop(String reason) {
    write(StopSignal.FILE, Map.of("reason", reason));
  }

  /** Rows will be added: readers must not take the output for whole. */
  void open() {
    try {
      files.delete(new Path(output, SUCCESS));
    } catch (IOException e) {
      throw unwritable(output, e);
    }
  }

  /** Writes the record of the whole output, and the mark that it is whole. */
  void finish(Map<String, Object> manifest) {
    write(new Path(marker(output), "manifest.json"), manifest);
    try {
      files.replace(new Path(output, SUCCESS), new byte[0]);
    } catch (IOException e) {
      throw unwritable(output, e);
    }
  }

  private void write(Path target, Map<String, Object> content) {
    try {
      String text = JSON.writeValueAsString(content) + "\n";
      files.replace(target, text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw unwritable(target, e);
    }
  }

  /** Data files of the output with their lengths. */
  Map<String, Long> parts() {
    Map<String, Long> parts = new TreeMap<>();
    try {
      for (FileStatus file : files.list(output)) {
        String name = file.getPath().getName();
        if (file.isFile() && name.startsWith("part-")) parts.put(name, file.getLen());
      }
    } catch (IOException e) {
      throw unwritable(output, e);
    }
    return parts;
  }

  /** The runs that wrote to the output, oldest first. */
  List<String> runs() {
    try {
      return files.list(of(output, runId).getParent()).stream()
          .map(run -> run.getPath().getName())
          .sorted()
          .toList();
    } catch (IOException e) {
      throw unwritable(output, e);
    }
  }

  /** Gives the output back; nothing of this run can be committed any more. */
  @Override
  public void close() {
    try {
      files.takeAway(Commits.staging(output, runId));
      lock.close();
    } catch (IOException e) {
      throw unwritable(output, e);
    }
  }
}
