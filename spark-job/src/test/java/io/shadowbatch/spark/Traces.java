package io.shadowbatch.spark;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.apache.spark.TaskContext;

/**
 * What the processes of a job wrote down on the local disk, line by line, so that nothing is lost
 * when they are killed. Each attempt of a task has a file with the keys of the requests that it
 * computed; each process has one for its events.
 */
record Traces(Path folder) {
  static final String PREFILL = "prefill";
  static final String JOB = "spark-job";
  static final String COMMIT = "commit";
  static final String COMMITTED = "committed";
  static final String SUCCESS = "success";

  /** Of a request's key; the line before the keys is shorter. */
  static final int KEY_CHARS = 16;

  private static final String ATTEMPT = "attempt-";
  private static final String EVENTS = "events-";
  private static final String PAUSE = "pause";

  private static final Map<String, Writer> OWN = new ConcurrentHashMap<>();

  /** Appends lines to a file of its own. */
  static final class Writer {
    private final FileOutputStream out;

    private Writer(Path file) {
      try {
        out = new FileOutputStream(file.toFile(), true);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    void line(String text) {
      try {
        out.write((text + "\n").getBytes(StandardCharsets.US_ASCII));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /**
   * Of an attempt; names sort by the time at which attempts began.
   *
   * @param task null in the process that a later attempt computes in
   */
  static Writer attempt(String folder, TaskContext task) {
    String whose =
        task == null ? "guarded" : "p" + task.partitionId() + "-a" + task.attemptNumber();
    String name =
        "%s%013d-%s-%s".formatted(ATTEMPT, System.currentTimeMillis(), whose, UUID.randomUUID());
    return new Writer(Path.of(folder, name));
  }

  /** Of this process; names sort by the time of the first event. */
  static Writer own(String folder) {
    return OWN.computeIfAbsent(
        folder,
        f -> {
          long pid = ProcessHandle.current().pid();
          return new Writer(
              Path.of(f, "%s%013d-%d".formatted(EVENTS, System.currentTimeMillis(), pid)));
        });
  }

  static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // a task that is killed: its engine asks for that itself
    }
  }

  /** How long processes wait where a fault is to hit them: 0 at first. */
  static long pauseMillis(String folder) {
    try {
      return Long.parseLong(Files.readString(Path.of(folder, PAUSE)));
    } catch (NoSuchFileException e) {
      return 0;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void pause(long millis) throws IOException {
    Path temporary = Files.writeString(folder.resolve("next"), "" + millis);
    Files.move(temporary, folder.resolve(PAUSE), java.nio.file.StandardCopyOption.ATOMIC_MOVE);
  }

  private List<Path> files(String prefix) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(f -> f.getFileName().toString().startsWith(prefix)).sorted().toList();
    }
  }

  /** Whether some attempt has begun. */
  boolean prefillBegan() throws IOException {
    return !files(ATTEMPT).isEmpty();
  }

  /** Requests that were computed, as often as they were: by the lengths of files, asked often. */
  long computed() throws IOException {
    long sum = 0;
    for (Path file : files(ATTEMPT)) sum += Files.size(file) / (KEY_CHARS + 1);
    return sum;
  }

  /** The requests that each attempt computed, the first attempt first. */
  List<List<String>> attempts() throws IOException {
    List<List<String>> attempts = new ArrayList<>();
    for (Path file : files(ATTEMPT)) {
      List<String> lines = new ArrayList<>(Files.readAllLines(file, StandardCharsets.US_ASCII));
      lines.remove(PREFILL);
      attempts.add(lines);
    }
    return attempts;
  }

  /** An event with the process that wrote it. */
  record Event(long process, String text) {}

  /** Events of this kind, process by process. */
  List<Event> events(String kind) throws IOException {
    List<Event> events = new ArrayList<>();
    for (Path file : files(EVENTS)) {
      long process = Long.parseLong(file.toString().replaceFirst(".*-", ""));
      for (String line : Files.readAllLines(file, StandardCharsets.US_ASCII)) {
        if (line.equals(kind) || line.startsWith(kind + " ")) events.add(new Event(process, line));
      }
    }
    return events;
  }

  /** For each attempt how many of its requests a later one computed again. */
  List<Integer> wasted() throws IOException {
    List<List<String>> attempts = attempts();
    Map<String, Integer> last = new HashMap<>();
    for (int i = 0; i < attempts.size(); i++) {
      for (String key : attempts.get(i)) last.put(key, i);
    }
    List<Integer> wasted = new ArrayList<>();
    for (int i = 0; i < attempts.size(); i++) {
      int attempt = i;
      wasted.add((int) attempts.get(i).stream().filter(k -> last.get(k) != attempt).count());
    }
    return wasted;
  }
}
