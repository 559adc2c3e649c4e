package io.shadowbatch.spark;

import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineMetrics;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A process with an engine in it ({@link GuardedEngine}). One thread sends and receives; the last
 * message received is {@link GuardMessage.Ended}. A process that owes something and finishes no
 * step for {@link Engine#stallBound} is killed. None outlives this Java machine: its input ends.
 */
final class EngineProcess implements GuardLine {

  private static final Logger LOG = LoggerFactory.getLogger(EngineProcess.class);

  private static final int LOG_LINES_MAX = 50;
  private static final int LOG_CHARS_MAX = 300;
  private static final long WATCH_MILLIS = 500;

  private static final Map<Integer, String> SIGNALS =
      Map.of(
          4, "SIGILL, an instruction that the processor does not know",
          6, "SIGABRT, as where native code gives up",
          7, "SIGBUS, as when a mapped file is cut",
          8, "SIGFPE",
          9, "SIGKILL, as when the machine's memory is short",
          11, "SIGSEGV, a wrong address in native code",
          15, "SIGTERM");

  private static final Pattern SIGNAL = Pattern.compile("^#  (SIG[A-Z]+) ");

  private static final Set<Process> ALIVE = ConcurrentHashMap.newKeySet();

  static {
    Runnable kill = () -> ALIVE.forEach(Process::destroyForcibly);
    Runtime.getRuntime().addShutdownHook(new Thread(kill, "engine-process-kill"));
  }

  private final Path folder;
  private final Process process;
  private final OutputStream input;
  private final BlockingQueue<GuardMessage> messages = new LinkedBlockingQueue<>();
  private final AtomicInteger owed = new AtomicInteger();
  private final Duration bound = Engine.stallBound();
  private volatile long progressed = System.nanoTime();
  private volatile boolean closed;
  private volatile String known; // how it ended, where its exit value does not say
  private volatile EngineMetrics metrics = EngineMetrics.NONE;

  private EngineProcess(Path folder, Process process) {
    this.folder = folder;
    this.process = process;
    this.input = process.getOutputStream();
  }

  /** Starts one; its first message is {@link GuardMessage.Opened}, or that it was refused. */
  static EngineProcess start(GuardedEngine.Start what) {
    try {
      Path folder = Files.createTempDirectory("shadowbatch-engine");
      EngineProcess made =
          new EngineProcess(folder, EngineCommand.of(GuardedEngine.class, folder).start());
      ALIVE.add(made.process);
      made.daemon("engine-process-out", made::read);
      made.daemon("engine-process-err", made::log);
      made.daemon("engine-process-watch", made::watch);
      made.send(what.message());
      return made;
    } catch (IOException e) {
      throw new UncheckedIOException("no process for the engine can be started", e);
    }
  }

  private void daemon(String name, Runnable work) {
    Thread thread = new Thread(work, name + "-" + process.pid());
    thread.setDaemon(true);
    thread.start();
  }

  @Override
  public EngineMetrics metrics() {
    return metrics;
  }

  @Override
  public void send(GuardMessage message) {
    progressed = System.nanoTime();
    if (!(message instanceof GuardMessage.Pause)) owed.incrementAndGet();
    try {
      input.write((message.line() + "\n").getBytes(StandardCharsets.US_ASCII));
      input.flush();
    } catch (IOException e) {
      LOG.debug("engine process {} takes nothing more", process.pid(), e);
    }
  }

  @Override
  public GuardMessage receive(long millis) throws InterruptedException {
    return messages.poll(millis, TimeUnit.MILLISECONDS);
  }

  private void read() {
    try (BufferedReader lines = process.inputReader(StandardCharsets.US_ASCII)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        GuardMessage message = GuardMessage.of(line);
        if (message != null) take(message);
      }
    } catch (IOException | RuntimeException e) {
      if (!closed) LOG.warn("engine process {}: {}", process.pid(), Failures.firstLine(e));
      if (known == null) known = "its answers could not be read";
      process.destroyForcibly();
    }
    messages.add(new GuardMessage.Ended(ended()));
  }

  private void take(GuardMessage message) {
    if (message instanceof GuardMessage.Failed failed) {
      known = "the engine failed with " + failed.how();
      return;
    }
    if (message instanceof GuardMessage.Beat beat) {
      long steps = beat.metrics().scheduler().steps();
      // Else it is a sign of life, but none of progress.
      if (steps != metrics.scheduler().steps()) progressed = System.nanoTime();
      metrics = beat.metrics();
      return;
    }
    if (message instanceof GuardMessage.Answered answered) metrics = answered.metrics();
    owed.decrementAndGet();
    progressed = System.nanoTime();
    messages.add(message);
  }

  private void watch() {
    try {
      while (!process.waitFor(WATCH_MILLIS, TimeUnit.MILLISECONDS)) {
        if (owed.get() == 0 || System.nanoTime() - progressed < bound.toNanos()) continue;
        known = "it finished no step for %d s".formatted(bound.toSeconds());
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** How the process ended, in words that hold nothing of what it computed. */
  private String ended() {
    int value;
    try {
      value = process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "it was not waited for";
    }
    ALIVE.remove(process);
    List<String> report = report();
    String how = known != null ? known : report.isEmpty() ? words(value) : crashed(report);
    if (!closed) LOG.warn("engine process {} ended: {}{}", process.pid(), how, place(report));
    return how;
  }

  /** What an exit value means. */
  static String words(int value) {
    if (value <= 128) {
      return "exit value " + value + (value == 3 ? ", as when the Java heap is full" : "");
    }
    int signal = value - 128;
    String name = SIGNALS.get(signal);
    return "signal " + signal + (name == null ? "" : " (" + name + ")");
  }

  /** The Java machine's report of a crash of native code; empty if there was none. */
  private List<String> report() {
    try {
      Path report = folder.resolve(EngineCommand.REPORT);
      if (!Files.exists(report)) return List.of();
      return Files.readAllLines(report, StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      LOG.debug("engine process {} left a report that cannot be read", process.pid(), e);
      return List.of();
    }
  }

  private static String crashed(List<String> report) {
    for (String line : report) {
      Matcher signal = SIGNAL.matcher(line);
      if (signal.find()) return "native code crashed with " + signal.group(1);
    }
    return "the Java machine crashed";
  }

  /** The code that crashed, for the log. */
  private static String place(List<String> report) {
    int at = report.indexOf("# Problematic frame:");
    return at < 0 || at + 1 == report.size() ? "" : ", in" + report.get(at + 1).substring(1);
  }

  private void log() {
    int count = 0;
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getErrorStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.isBlank() || line.startsWith("#") || count++ >= LOG_LINES_MAX) continue;
        String cut = line.substring(0, Math.min(LOG_CHARS_MAX, line.length()));
        LOG.warn("engine process {}: {}", process.pid(), cut);
      }
    } catch (IOException e) {
      LOG.debug("engine process {} closed its log", process.pid(), e);
    }
  }

  @Override
  public void close() {
    closed = true;
    process.destroyForcibly();
    try {
      input.close();
    } catch (IOException e) {
      LOG.debug("engine process {} had ended", process.pid(), e);
    }
    try {
      process.waitFor(10, TimeUnit.SECONDS);
      Files.deleteIfExists(folder.resolve(EngineCommand.REPORT));
      Files.deleteIfExists(folder);
    } catch (IOException e) {
      LOG.warn("cannot delete {}: {}", folder, Failures.firstLine(e));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
