package io.shadowbatch.ledger;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * Keeps two runs from one output. The lock is the file with the highest number; a new one is made
 * only if nobody made it before. Its owner beats: it writes the file again and again. Who finds a
 * lock whose owner died takes the next number. An owner is dead if its process ended, where that
 * can be seen, or if it did not beat while somebody watched: clocks are not compared.
 */
public final class RunLock implements AutoCloseable {
  private static final String PREFIX = "lock-";

  /** Between two beats. */
  public static final int BEAT_SECONDS = 3;

  /** How long an owner of another host is watched. */
  private static final int WATCH_SECONDS = 5 * BEAT_SECONDS;

  /** Another run owns the output. */
  public static final class HeldException extends IOException {
    private static final long serialVersionUID = 1L;

    HeldException(String owner) {
      super(owner);
    }
  }

  private final OutputFiles files;
  private final Path file;
  private final String owner;
  private final Runnable lost;
  private final ScheduledExecutorService timer;
  private long beats;

  private RunLock(OutputFiles files, Path file, String owner, Runnable lost) {
    this.files = files;
    this.file = file;
    this.owner = owner;
    this.lost = lost;
    this.timer =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "shadowbatch-lock");
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * Takes the lock; waits for some seconds where another host may hold it.
   *
   * @param folder where locks lie
   * @param lost told, once, if another run took the lock in spite of this one
   * @throws HeldException if a run that lives holds it; the message says which
   */
  public static RunLock take(OutputFiles files, Path folder, String runId, Runnable lost)
      throws IOException {
    String owner = owner(runId);
    while (true) {
      Path held = newest(files, folder);
      if (held != null) refuseIfAlive(files, held);
      Path mine = new Path(folder, PREFIX + (held == null ? 0 : number(held) + 1));
      try (OutputStream out = files.create(mine)) {
        out.write((owner + " 0").getBytes(StandardCharsets.UTF_8));
      } catch (FileAlreadyExistsException e) {
        continue; // another run was first: see whether it lives
      }
      RunLock lock = new RunLock(files, mine, owner, lost);
      lock.timer.scheduleWithFixedDelay(lock::beat, BEAT_SECONDS, BEAT_SECONDS, TimeUnit.SECONDS);
      for (Path old : locks(files, folder)) if (number(old) < number(mine)) files.delete(old);
      return lock;
    }
  }

  private static void refuseIfAlive(OutputFiles files, Path held) throws IOException {
    byte[] seen = files.read(held);
    if (seen == null) return;
    String[] words = new String(seen, StandardCharsets.UTF_8).split(" ");
    if (words.length == 5 && words[1].equals(host())) {
      if (lives(words[2], words[3])) throw new HeldException(described(words));
      return;
    }
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WATCH_SECONDS);
    while (System.nanoTime() < end) {
      pause();
      byte[] now = files.read(held);
      if (now == null) return;
      if (!Arrays.equals(now, seen)) throw new HeldException(described(words));
    }
  }

  private static String described(String[] words) {
    return words.length < 3
        ? String.join(" ", words)
        : "run %s, process %s on %s".formatted(words[0], words[2], words[1]);
  }

  private static boolean lives(String process, String started) {
    Optional<ProcessHandle> handle = ProcessHandle.of(Long.parseLong(process));
    return handle.isPresent() && handle.get().isAlive() && started(handle.get()).equals(started);
  }

  private static void pause() throws IOException {
    try {
      Thread.sleep(1000L);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while another run's lock was watched", e);
    }
  }

  private static String owner(String runId) {
    ProcessHandle self = ProcessHandle.current();
    return "%s %s %d %s".formatted(runId, host(), self.pid(), started(self));
  }

  private static String started(ProcessHandle process) {
    return process.info().startInstant().map(i -> "" + i.toEpochMilli()).orElse("unknown");
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName().replace(' ', '_');
    } catch (IOException e) {
      return "unknown-" + ProcessHandle.current().pid();
    }
  }

  private static List<Path> locks(OutputFiles files, Path folder) throws IOException {
    return files.list(folder).stream()
        .map(FileStatus::getPath)
        .filter(p -> p.getName().matches(PREFIX + "\\d{1,9}"))
        .sorted(Comparator.comparingInt(RunLock::number))
        .toList();
  }

  private static Path newest(OutputFiles files, Path folder) throws IOException {
    List<Path> locks = locks(files, folder);
    return locks.isEmpty() ? null : locks.get(locks.size() - 1);
  }

  private static int number(Path lock) {
    return Integer.parseInt(lock.getName().substring(PREFIX.length()));
  }

  private void beat() {
    try {
      Path newest = newest(files, file.getParent());
      if (newest == null || !newest.getName().equals(file.getName())) {
        timer.shutdown();
        lost.run();
        return;
      }
      byte[] content = (owner + " " + ++beats).getBytes(StandardCharsets.UTF_8);
      files.replace(file, content);
    } catch (IOException | UncheckedIOException e) {
      // The next beat may succeed; if none does, the lock is another's in time.
      beats++;
    }
  }

  /** Gives the lock back. */
  @Override
  public void close() throws IOException {
    timer.shutdownNow();
    try {
      timer.awaitTermination(BEAT_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    files.delete(file);
  }
}
