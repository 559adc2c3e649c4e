package io.shadowbatch.spark;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * A fault of a job.
 *
 * @param number from 1
 * @param share of the rows or commits after which it comes, where its phase has some
 * @param delayMillis after the phase has begun
 */
record Kill(
    int number, Victim victim, Phase phase, Storage storage, double share, long delayMillis) {

  /** What dies. */
  enum Victim {
    EXECUTOR,
    /** An executor, by a signal as of a native crash. */
    NATIVE_ABORT,
    DRIVER,
    WORKER,
    /** Executors cannot write files of more than some kilobytes, until the job has failed. */
    DISK_FULL,
    DATA_NODE
  }

  /** When. */
  enum Phase {
    PLANNING,
    PREFILL,
    DECODE,
    /** A chunk is written, and has not got its name. */
    BEFORE_COMMIT,
    AFTER_COMMIT,
    /** All chunks are committed, {@code _SUCCESS} is not there. */
    FINISH
  }

  /** Where the output is. */
  enum Storage {
    LOCAL,
    HDFS
  }

  /** Faults in a seeded order: 36 of them have each victim in each phase. */
  static List<Kill> deal(long seed, int count) {
    Random random = new Random(seed);
    List<Victim> victims = new ArrayList<>(Arrays.asList(Victim.values()));
    List<Phase> phases = new ArrayList<>(Arrays.asList(Phase.values()));
    Collections.shuffle(victims, random);
    Collections.shuffle(phases, random);
    List<Kill> kills = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Victim victim = victims.get(i % victims.size());
      Phase phase = phases.get((i + i / victims.size()) % phases.size());
      kills.add(
          new Kill(
              i + 1,
              victim,
              phase,
              storage(victim, random),
              0.1 + 0.7 * random.nextDouble(),
              random.nextInt(phase == Phase.PLANNING ? 1500 : 30)));
    }
    return kills;
  }

  private static Storage storage(Victim victim, Random random) {
    boolean hdfs = random.nextInt(3) == 0;
    return switch (victim) {
      case DISK_FULL -> Storage.LOCAL;
      case DATA_NODE -> Storage.HDFS;
      default -> hdfs ? Storage.HDFS : Storage.LOCAL;
    };
  }
}
