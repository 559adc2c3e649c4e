package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.spark.Kill.Storage;
import io.shadowbatch.spark.KilledJob.Outcome;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Jobs on a real cluster lose executors, drivers, workers, the disk and nodes of HDFS, in all their
 * phases, and the same command ends them with each row once.
 */
@Timeout(3600)
class KillEndToEndTest {
  private static final int COUNT = Integer.getInteger("shadowbatch.kills", 5);
  private static final long SEED = Long.getLong("shadowbatch.seed", 7);
  private static final int ROWS = 500;

  @TempDir Path folder;

  /** Goal: no row is lost or doubled, and no attempt of a task loses more than a chunk. */
  @Test
  void theSameCommandFinishesAJobThatWasHit() throws Exception {
    System.out.printf("%d kills, seed %d%n", COUNT, SEED);
    List<Kill> kills = Kill.deal(SEED, COUNT);
    StubRows rows = StubRows.make(folder, ROWS);
    List<Outcome> outcomes = new ArrayList<>();
    try (Processes processes = new Processes(folder);
        StubCluster cluster =
            new StubCluster(
                processes, folder.resolve("cluster"), List.of("127.0.0.1", "127.0.0.1"))) {
      boolean wanted = kills.stream().anyMatch(k -> k.storage() == Storage.HDFS);
      Hdfs hdfs = wanted ? Hdfs.start(processes, StubRows.folder(folder, "hdfs")) : null;
      for (Kill kill : kills) {
        Outcome outcome = new KilledJob(kill, processes, cluster, hdfs, rows, folder).run();
        System.out.println(outcome);
        outcomes.add(outcome);
      }
    }
    System.out.println(summary(outcomes));
    for (Outcome outcome : outcomes) {
      assertThat(outcome.difference()).as("%s", outcome).isEqualTo(StubRows.Difference.NONE);
      assertThat(outcome.mostWasted()).as("%s", outcome).isLessThanOrEqualTo(StubRows.CHUNK);
    }
  }

  private static String summary(List<Outcome> outcomes) {
    return "kills %d lost %d doubled %d recomputed %d rows (most per kill %d, chunk %d)"
        .formatted(
            outcomes.size(),
            outcomes.stream().mapToLong(o -> o.difference().lost()).sum(),
            outcomes.stream().mapToLong(o -> o.difference().doubled()).sum(),
            outcomes.stream().mapToLong(Outcome::recomputed).sum(),
            outcomes.stream().mapToLong(Outcome::recomputed).max().orElse(0),
            StubRows.CHUNK);
  }
}
