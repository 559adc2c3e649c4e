package io.shadowbatch.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class RunLockTest {
  @TempDir java.nio.file.Path folder;
  private OutputFiles files;
  private Path locks;

  @BeforeEach
  void open() throws IOException {
    locks = new Path(folder.toUri());
    files = OutputFiles.of(new Configuration(), locks);
  }

  private RunLock take(String run) throws IOException {
    return RunLock.take(files, locks, run, () -> {});
  }

  /** Goal: of many that come at once one gets the lock; once it is back, the next does. */
  @Test
  void oneHoldsIt() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(6);
    try {
      List<Callable<RunLock>> all = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        String run = "run" + i;
        all.add(() -> take(run));
      }
      List<RunLock> held = new ArrayList<>();
      for (var lock : pool.invokeAll(all, 60, TimeUnit.SECONDS)) {
        try {
          held.add(lock.get());
        } catch (ExecutionException e) {
          assertThat(e.getCause()).isInstanceOf(RunLock.HeldException.class);
          assertThat(e.getCause()).hasMessageContaining("process");
        }
      }
      assertThat(held).hasSize(1);
      assertThatThrownBy(() -> take("late")).isInstanceOf(RunLock.HeldException.class);
      held.get(0).close();
      take("next").close();
      assertThat(files.list(locks)).isEmpty();
    } finally {
      pool.shutdownNow();
    }
  }

  /** Goal: the lock of a process that is gone is taken at once. */
  @Test
  void aDeadProcessHoldsNothing() throws Exception {
    Process process = new ProcessBuilder("true").start();
    process.waitFor();
    String host = java.net.InetAddress.getLocalHost().getHostName().replace(' ', '_');
    write("lock-4", "old " + host + " " + process.pid() + " 1234 7");
    long begin = System.nanoTime();
    try (RunLock lock = take("new")) {
      assertThat(lock).isNotNull();
      assertThat(System.nanoTime() - begin).isLessThan(TimeUnit.SECONDS.toNanos(10));
      assertThat(files.exists(new Path(locks, "lock-5"))).isTrue();
      assertThat(files.exists(new Path(locks, "lock-4"))).isFalse();
    }
  }

  /** Goal: a lock of another host is respected while it beats, and taken when it stopped. */
  @Test
  void aSilentHostLosesIt() throws Exception {
    write("lock-0", "far elsewhere.example 1 1234 7");
    Thread beats =
        new Thread(
            () -> {
              try {
                Thread.sleep(2500);
                write("lock-0", "far elsewhere.example 1 1234 8");
              } catch (InterruptedException | IOException e) {
                Thread.currentThread().interrupt();
              }
            });
    beats.start();
    assertThatThrownBy(() -> take("new"))
        .isInstanceOf(RunLock.HeldException.class)
        .hasMessageContaining("elsewhere.example");
    beats.join();
    take("new").close();
  }

  /** Goal: who lost its lock in spite of all hears of it. */
  @Test
  void theLoserHearsOfIt() throws Exception {
    CountDownLatch lost = new CountDownLatch(1);
    try (RunLock lock = RunLock.take(files, locks, "first", lost::countDown)) {
      write("lock-9", "thief elsewhere.example 1 1234 7");
      assertThat(lost.await(4 * RunLock.BEAT_SECONDS, TimeUnit.SECONDS)).isTrue();
      assertThat(lock).isNotNull();
    }
    assertThat(files.exists(new Path(locks, "lock-9"))).isTrue();
  }

  private void write(String name, String content) throws IOException {
    files.replace(new Path(locks, name), content.getBytes(StandardCharsets.UTF_8));
  }
}
