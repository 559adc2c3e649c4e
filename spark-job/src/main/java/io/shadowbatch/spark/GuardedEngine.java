package io.shadowbatch.spark;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.PrintStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;

/**
 * Main class of a process that computes for a task: it reads {@link GuardMessage}s from standard
 * input, answers on standard output, and ends when its input does, which is when the executor does.
 */
final class GuardedEngine {

  /** What to open. */
  record Start(CompletionSource.Opener opener, ModelCard model, EngineChoice choice)
      implements Serializable {

    private static final long serialVersionUID = 1L;

    GuardMessage.Open message() {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
        out.writeObject(this);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return new GuardMessage.Open(bytes.toByteArray());
    }

    static Start of(GuardMessage.Open message) throws IOException {
      try (var in = new ObjectInputStream(new ByteArrayInputStream(message.start()))) {
        return (Start) in.readObject();
      } catch (ClassNotFoundException e) {
        throw new IllegalStateException("the class path of the engine's process lacks a class", e);
      }
    }
  }

  /** How the process ends once its engine failed. */
  static final int FAILED = 70;

  private static final long BEAT_MILLIS = 1000;

  private final PrintStream out;
  private final Inbox inbox = new Inbox();
  private volatile CompletionSource source;

  private GuardedEngine(PrintStream out) {
    this.out = out;
  }

  public static void main(String[] args) throws IOException {
    PrintStream out = System.out;
    System.setOut(System.err); // whatever else is printed must not stand between messages
    killMeFirst();
    new GuardedEngine(out).serve();
    Runtime.getRuntime().halt(0);
  }

  /** Where memory is short, the kernel ends this process and not the executor. */
  private static void killMeFirst() {
    try {
      Files.writeString(Path.of("/proc/self/oom_score_adj"), "1000");
    } catch (IOException e) {
      System.err.println("oom_score_adj stays as it is: " + e.getClass().getSimpleName());
    }
  }

  private void serve() throws IOException {
    var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      GuardMessage message = GuardMessage.of(line);
      if (message instanceof GuardMessage.Open open) {
        daemon("guarded-engine", () -> compute(open));
      } else if (message instanceof GuardMessage.Compute compute) {
        inbox.add(compute.request());
      } else if (message instanceof GuardMessage.Pause) {
        inbox.pause();
      } else if (message instanceof GuardMessage.Encode encode) {
        say(encoded(encode));
      } else if (message instanceof GuardMessage.Spell spell) {
        say(new GuardMessage.Spelled(source.token(spell.token())));
      }
    }
  }

  private static void daemon(String name, Runnable work) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    thread.start();
  }

  private GuardMessage.Encoded encoded(GuardMessage.Encode encode) {
    try {
      boolean raw = encode.prompts() == InferenceTask.RawPrompts.RAW;
      String text = encode.text();
      return new GuardMessage.Encoded(raw ? source.encodeRaw(text) : source.encode(text), null);
    } catch (RuntimeException e) {
      return new GuardMessage.Encoded(null, Failures.firstLine(e));
    }
  }

  private synchronized void say(GuardMessage message) {
    out.append(message.line()).append('\n').flush();
  }

  /** Opens the engine and computes; whatever goes wrong ends the process. */
  private void compute(GuardMessage.Open open) {
    try {
      Start start = Start.of(open);
      source = start.opener().open(start.model(), start.choice());
      say(new GuardMessage.Opened(source.contextTokens(), source.costs(), source.choice()));
      daemon("guarded-engine-beat", this::beat);
      Iterator<Completion> completions = source.run(inbox, () -> false);
      while (inbox.await()) {
        while (completions.hasNext()) {
          Completion next = completions.next();
          say(new GuardMessage.Answered(next, source.metrics()));
        }
      }
    } catch (JobException e) {
      say(new GuardMessage.Refused(e.exit(), e.getMessage()));
    } catch (Throwable e) { // the task must hear of it: it waits for answers
      Throwable root = e;
      while (root.getCause() != null && root.getCause() != root) root = root.getCause();
      System.err.println("the engine failed: " + Failures.firstLine(root));
      // Only what kind of failure it was goes into an error row.
      say(new GuardMessage.Failed(root.getClass().getSimpleName()));
    }
    Runtime.getRuntime().halt(FAILED);
  }

  private void beat() {
    try {
      while (true) {
        say(new GuardMessage.Beat(source.metrics()));
        Thread.sleep(BEAT_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** The requests that have come; the engine waits for those that are about to. */
  private static final class Inbox implements Iterator<Request> {
    private final Deque<Request> waiting = new ArrayDeque<>();
    private boolean more;

    synchronized void add(Request request) {
      waiting.add(request);
      more = true;
      notifyAll();
    }

    synchronized void pause() {
      more = false;
      notifyAll();
    }

    /** Waits for a request; false once interrupted. */
    synchronized boolean await() {
      while (waiting.isEmpty() && sleep()) {}
      return !waiting.isEmpty();
    }

    @Override
    public synchronized boolean hasNext() {
      while (waiting.isEmpty() && more && sleep()) {}
      return !waiting.isEmpty();
    }

    private synchronized boolean sleep() {
      try {
        wait();
        return true;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }

    @Override
    public synchronized Request next() {
      return waiting.remove();
    }
  }
}
