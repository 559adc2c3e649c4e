package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.kernels.ChunkRig.Attended;
import io.shadowbatch.kernels.ChunkRig.Sequence;
import io.shadowbatch.kernels.ChunkRig.Setup;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** T13: results of parts of the positions, merged by their states, are one softmax over all. */
class SegmentMergeTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final Sequence SEQUENCE = new Sequence(512, 45, 3);
  private static final int CHUNKS = 64;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @Test
  void partsMergeToOneSoftmax() {
    for (KvCodec codec : List.of(KvCodec.FP16, KvCodec.INT8)) {
      for (int group : new int[] {1, 3, 7}) {
        for (int parts : new int[] {1, 2, 5}) {
          try (Kernels kernels = Backend.open("cpu", 2);
              Arena a = new Arena(kernels)) {
            Setup setup = new Setup(codec, 64, 2, group, 8, 1.5f);
            ChunkRig rig = new ChunkRig(a, setup, List.of(SEQUENCE), 0, SEED);
            // INT8 rounds the weights of a tile to 15 bits of their largest.
            compare(rig, parts, codec == KvCodec.FP16 ? 1e-5 : 1e-3);
          }
        }
      }
    }
  }

  /** Every part reads the prompt's end too, which has no chunks: it counts once. */
  private static void compare(ChunkRig rig, int parts, double tolerance) {
    Attended dense = rig.attend(rig.view(null));
    Attended end = rig.attend(rig.view(picks(rig, null, 0)));
    int[] part = new Random(SEED).ints(CHUNKS, 0, parts).toArray();
    List<Attended> all = new ArrayList<>();
    for (int i = 0; i < parts; i++) all.add(rig.attend(rig.view(picks(rig, part, i))));
    for (int row = 0; row < rig.batch.size(); row++) {
      for (int head = 0; head < rig.s.shape().queryHeads(); head++) {
        double shift = dense.state().f32(row, 2 * head);
        double sum = (1 - parts) * sum(end, row, head, shift);
        double[] out = new double[64];
        add(out, end, row, head, sum);
        for (Attended one : all) {
          double weight = sum(one, row, head, shift);
          sum += weight;
          add(out, one, row, head, weight);
        }
        assertThat(sum / dense.state().f32(row, 2 * head + 1)).isCloseTo(1, within(1e-5));
        for (int i = 0; i < 64; i++) {
          assertThat(out[i] / sum)
              .as("%s, %d parts, row %d, head %d", rig.s, parts, row, head)
              .isCloseTo(dense.out().f32(row, 64 * head + i), within(tolerance));
        }
      }
    }
  }

  private static void add(double[] out, Attended x, int row, int head, double weight) {
    for (int i = 0; i < 64; i++) out[i] += weight * x.out().f32(row, 64 * head + i);
  }

  private static double sum(Attended x, int row, int head, double shift) {
    return Math.exp(x.state().f32(row, 2 * head) - shift) * x.state().f32(row, 2 * head + 1);
  }

  /** The chunks of a part for all rows and heads; of none without parts. */
  private static ChunkPicks picks(ChunkRig rig, int[] part, int number) {
    var ids = rig.ints(rig.batch.size() * rig.s.kvHeads(), 1 + CHUNKS);
    for (int row = 0; row < ids.rows(); row++) {
      int count = 0;
      for (int c = 0; part != null && c < CHUNKS; c++) {
        if (part[c] == number) ids.setI32(row, ++count, c);
      }
      ids.setI32(row, 0, count);
    }
    return new ChunkPicks(ids, 8);
  }
}
