package io.shadowbatch.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
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
class ChunkLogTest {
  @TempDir java.nio.file.Path folder;
  private OutputFiles files;
  private Path output;
  private Path staging;

  @BeforeEach
  void open() throws IOException {
    output = new Path(folder.toUri());
    staging = new Path(output, "_shadowbatch/staging/run");
    files = OutputFiles.of(new Configuration(), output);
    files.mkdirs(staging);
  }

  private ChunkLog log() {
    return new ChunkLog(files, output, staging, "run", 3, ".parquet");
  }

  private Path staged(ChunkLog log, String content) throws IOException {
    Path file = log.stage();
    try (OutputStream out = files.create(file)) {
      out.write(content.getBytes(StandardCharsets.UTF_8));
    }
    return file;
  }

  /** Goal: of attempts that commit at the same time one gets each number, and none is lost. */
  @Test
  void eachNumberHasOneOwner() throws Exception {
    int attempts = 8;
    int chunks = 40;
    ExecutorService pool = Executors.newFixedThreadPool(attempts);
    try {
      List<Callable<Integer>> tasks = new ArrayList<>();
      for (int a = 0; a < attempts; a++) {
        String name = "attempt " + a;
        tasks.add(() -> race(name, chunks));
      }
      int sum = 0;
      for (var won : pool.invokeAll(tasks, 100, TimeUnit.SECONDS)) sum += won.get();
      assertThat(sum).isEqualTo(chunks);
    } finally {
      pool.shutdownNow();
    }
    Set<String> names = new TreeSet<>();
    ChunkLog reader = log();
    for (Path chunk = reader.read(); chunk != null; chunk = reader.read()) {
      names.add(chunk.getName());
      assertThat(new String(files.read(chunk), StandardCharsets.UTF_8)).startsWith("attempt");
    }
    assertThat(names).hasSize(chunks).allMatch(n -> n.matches("part-00003-run-c\\d{4}.parquet"));
  }

  /** Commits as often as it can until so many chunks are there; how often it could. */
  private int race(String name, int chunks) throws IOException {
    ChunkLog log = log();
    int seen = 0;
    int won = 0;
    while (seen < chunks) {
      Path file = staged(log, name + " " + seen);
      if (log.commit(file)) {
        won++;
        seen++;
        assertThat(files.exists(file)).isFalse();
        continue;
      }
      while (log.read() != null) seen++;
    }
    return won;
  }

  /** Goal: who is fenced off commits nothing, wherever in its commit that happens. */
  @Test
  void aRunThatWasEndedCommitsNothing() throws IOException {
    ChunkLog log = log();
    Path written = staged(log, "written before");
    files.takeAway(staging);
    assertThatThrownBy(() -> log.commit(written)).isInstanceOf(FileNotFoundException.class);
    assertThatThrownBy(() -> staged(log, "after")).isInstanceOf(FileNotFoundException.class);
    assertThat(log.read()).isNull();
    files.mkdirs(new Path(output, "_shadowbatch/staging/other"));
    assertThatThrownBy(() -> log.commit(written)).isInstanceOf(FileNotFoundException.class);
  }

  /** Goal: a file is replaced as a whole, and made only once where that is asked. */
  @Test
  void filesAreWhole() throws IOException {
    Path file = new Path(output, "status.json");
    assertThat(files.read(file)).isNull();
    files.replace(file, new byte[] {1});
    files.replace(file, new byte[] {2, 3});
    assertThat(files.read(file)).containsExactly(2, 3);
    assertThatThrownBy(() -> files.create(file)).isInstanceOf(FileAlreadyExistsException.class);
    files.delete(file);
    assertThat(files.exists(file)).isFalse();
    files.takeAway(file);
    assertThat(files.list(new Path(output, "none"))).isEmpty();
  }

  /** Goal: keys in a footer come back as they were. */
  @Test
  void keysAreSplitAsTheyWereJoined() {
    List<String> keys = List.of("0".repeat(32), "f".repeat(32), "0".repeat(32));
    assertThat(ChunkFormat.split(ChunkFormat.joined(keys))).isEqualTo(keys);
    assertThat(ChunkFormat.split("")).isEmpty();
  }
}
