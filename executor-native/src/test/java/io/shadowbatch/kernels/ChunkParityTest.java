package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.ChunkRig.Sequence;
import io.shadowbatch.kernels.ChunkRig.Setup;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Landmarks, picks, picked attention and attention mass have the reference's bits. */
class ChunkParityTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261125L);
  private static final List<KvCodec> CODECS = List.of(KvCodec.INT8, KvCodec.FP16);

  /** Ragged prompts and rows, of which one sequence reads everything. */
  private static final List<Sequence> MIXED =
      List.of(new Sequence(320, 40, 3), new Sequence(0, 70, 2), new Sequence(128, 33, 1));

  private static Candidates candidates;

  @BeforeAll
  static void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    candidates = new Candidates();
  }

  @AfterAll
  static void close() {
    candidates.requireCompared(Set.of("chunks"));
    candidates.close();
  }

  @Test
  void allWidthsGroupsAndChunkSizes() {
    for (KvCodec codec : CODECS) {
      for (int chunk : new int[] {4, 8, 16}) {
        for (int d : new int[] {64, 80, 128}) {
          compare(new Setup(codec, d, 2, new int[] {3, 1, 4}[chunk / 8], chunk, 1), MIXED, 5, 1);
        }
        for (int group : new int[] {1, 3, 4, 7}) {
          compare(new Setup(codec, 64, 1, group, chunk, 2), MIXED, 9, 0);
        }
      }
    }
  }

  @Test
  void budgetsFromNothingToEverything() {
    for (KvCodec codec : CODECS) {
      for (int budget : new int[] {0, 1, 5, 13, 37, 1000}) {
        compare(new Setup(codec, 64, 1, 3, 8, 1), MIXED, budget, 1);
      }
    }
  }

  @Test
  void sharedPromptsOfManySequences() {
    List<Sequence> many =
        IntStream.range(0, 20).mapToObj(i -> new Sequence(192, 32 + i, 1 + i % 3)).toList();
    for (KvCodec codec : CODECS) compare(new Setup(codec, 64, 1, 3, 8, 1), many, 6, 3);
    compare(new Setup(KvCodec.INT8, 32, 2, 7, 16, 1), many, 4, 2);
  }

  @Test
  void keysOfAllSizes() {
    for (KvCodec codec : CODECS) {
      for (float spread : new float[] {0f, 1e-20f, 100f, 1e5f}) {
        compare(new Setup(codec, 64, 1, 2, 8, spread), MIXED, 7, 0);
      }
    }
  }

  @Test
  void allChunksPickedEqualsDense() {
    for (KvCodec codec : CODECS) {
      for (int chunk : new int[] {4, 8, 16}) {
        Setup setup = new Setup(codec, 64, 2, 3, chunk, 1);
        for (Kernels kernels : candidates.all()) {
          try (Arena a = new Arena(kernels)) {
            ChunkRig rig = new ChunkRig(a, setup, MIXED, 1, SEED);
            int[] picked = rig.attend(rig.view(rig.select(1000))).bits();
            int[] dense = rig.attend(rig.view(null)).bits();
            int[] some = rig.attend(rig.view(rig.select(3))).bits();
            assertThat(Arrays.mismatch(picked, dense)).as(kernels.describe()).isEqualTo(-1);
            assertThat(Arrays.mismatch(some, dense)).as("fewer chunks").isNotEqualTo(-1);
          }
        }
      }
    }
  }

  @Test
  void aPickedRowDoesNotDependOnTheBatch() {
    for (KvCodec codec : CODECS) {
      Setup setup = new Setup(codec, 64, 2, 3, 8, 1);
      for (Kernels kernels : candidates.all()) {
        try (Arena a = new Arena(kernels)) {
          // Sequence 0 gets the same numbers first, alone and in company; its rows' queries differ.
          ChunkRig both = new ChunkRig(a, setup, MIXED, 1, SEED);
          ChunkPicks picks = both.select(6);
          ChunkRig.Attended all = both.attend(both.view(picks));
          TokenBatch one =
              new TokenBatch(
                  1,
                  new int[1],
                  new int[] {both.batch.positions()[1]},
                  List.of(new Slice(0, 0, 1)),
                  new int[0]);
          ChunkPicks own = new ChunkPicks(picks.ids().rows(2, 4), 8);
          List<KvSegment> segments = both.view(own).segments(0);
          KvView view = new KvView(setup.shape().layout(), List.of(segments));
          var out = a.zeros(1, all.out().columns());
          kernels.attend(
              setup.shape(), ChunkRig.LAYER, both.q.rows(1, 2), one, view, both.rope, out, null);
          assertThat(Arena.bits(out)).isEqualTo(Arena.bits(all.out().rows(1, 2)));
        }
      }
    }
  }

  private static void compare(Setup setup, List<Sequence> sequences, int budget, int shared) {
    ToIntFunction<int[]> length = x -> x.length;
    candidates.compare(
        "chunks",
        setup + " budget " + budget,
        a -> {
          ChunkRig rig = new ChunkRig(a, setup, sequences, shared, SEED);
          ChunkPicks picks = rig.select(budget);
          int[] landmarks = rig.landmarkBytes();
          int[] ids = rig.pickedIds(picks);
          int[] sparse = rig.attend(rig.view(picks)).bits();
          ChunkRig.Attended dense = rig.attend(rig.view(null));
          int[] mass = Arena.bits(rig.mass(dense.state()));
          int[] lengths = Stream.of(landmarks, ids, sparse, mass).mapToInt(length).toArray();
          return Stream.of(lengths, landmarks, ids, sparse, dense.bits(), mass)
              .flatMapToInt(Arrays::stream)
              .toArray();
        });
  }
}
