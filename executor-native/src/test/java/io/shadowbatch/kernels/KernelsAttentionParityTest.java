package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Appending and attending give the reference's bits: pages, outputs and softmax state. */
class KernelsAttentionParityTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260102L);
  private static Candidates candidates;
  private final Random random = new Random(SEED);

  @BeforeAll
  static void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    candidates = new Candidates();
  }

  @AfterAll
  static void close() {
    candidates.requireCompared(Set.of("append+attend"));
    candidates.close();
  }

  /** The first {@code shared} pages of every sequence are the same. */
  private record Setup(
      KvCodec codec,
      int headDim,
      int kvHeads,
      int headsPerGroup,
      int window,
      int rotary,
      int shared,
      float spread) {
    KvLayout layout() {
      return new KvLayout(codec, 2, kvHeads, headDim);
    }

    AttentionShape shape() {
      return new AttentionShape(
          layout(), kvHeads * headsPerGroup, (float) (1 / Math.sqrt(headDim)), window);
    }
  }

  /** Steps of a run; in each, how many rows every sequence gets (0: none). */
  private static final int[][] CHUNKS = {{70, 3, 1}, {60, 0, 66}, {1, 1, 1}, {13, 64, 1}};

  @Test
  void allHeadWidthsAndGroupsWithBothCodecs() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (int d : new int[] {16, 64, 80, 96, 128, 256}) {
        int rotary = Math.min(d / 32 * 32, 128);
        int group = new int[] {1, 2, 3, 7}[random.nextInt(4)];
        compare(new Setup(codec, d, 2, group, 0, rotary, 0, 1), CHUNKS);
      }
      for (int group : new int[] {1, 2, 3, 7}) {
        compare(new Setup(codec, 64, 1, group, 0, 64, 0, 2), CHUNKS);
      }
    }
  }

  @Test
  void windows() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (int window : new int[] {1, 5, 64, 65, 100}) {
        compare(new Setup(codec, 32, 2, 3, window, 32, 0, 1), CHUNKS);
      }
    }
  }

  @Test
  void sharedPrefixes() {
    int[][] chunks = {{64, 0, 0, 0, 0}, {64, 0, 0, 0, 0}, {5, 9, 1, 2, 3}, {1, 1, 1, 1, 1}};
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      compare(new Setup(codec, 64, 2, 3, 0, 64, 2, 1), chunks);
      compare(new Setup(codec, 64, 1, 1, 70, 32, 2, 1), chunks);
    }
  }

  @Test
  void extremes() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (float spread : new float[] {0f, 1e-30f, 4f, 30f, 1e4f}) {
        compare(new Setup(codec, 64, 1, 2, 0, 64, 0, spread), CHUNKS);
      }
    }
    compare(new Setup(KvCodec.INT8, 64, 1, 2, 0, 64, 0, 1e25f), CHUNKS);
  }

  @Test
  void manyRows() {
    compare(new Setup(KvCodec.INT8, 64, 1, 3, 0, 64, 0, 1), new int[][] {{300, 10}, {33, 1}});
    compare(new Setup(KvCodec.FP16, 32, 1, 3, 0, 32, 0, 1), new int[][] {{300, 10}, {33, 1}});
  }

  @Test
  void aRowDoesNotDependOnTheBatch() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      Setup setup = new Setup(codec, 64, 2, 3, 0, 64, 1, 1);
      int[][] chunks = {{64, 0, 0}, {100, 200, 37}, {1, 1, 1}, {40, 1, 90}};
      Inputs inputs = new Inputs(setup, chunks);
      for (Kernels kernels : candidates.all()) {
        try (Arena a = new Arena(kernels)) {
          Run run = new Run(a, setup, inputs);
          int[] together = run.all(false);
          int[] alone = new Run(a, setup, inputs).all(true);
          assertThat(Arrays.mismatch(alone, together)).as(kernels.describe()).isEqualTo(-1);
        }
      }
    }
  }

  @Test
  void walkingSlicesApartChangesNoBit() {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      Setup setup = new Setup(codec, 64, 2, 3, 0, 64, 2, 1);
      int[][] chunks = {{64, 0, 0, 0, 0}, {64, 0, 0, 0, 0}, {5, 9, 1, 2, 30}, {1, 1, 1, 1, 1}};
      Inputs inputs = new Inputs(setup, chunks);
      for (Kernels kernels : candidates.all()) {
        try (Arena a = new Arena(kernels)) {
          int[] together = new Run(a, setup, inputs).all(false);
          Run run = new Run(a, setup, inputs);
          run.attention = PrefixAttention.SEPARATE;
          int mismatch = Arrays.mismatch(run.all(false), together);
          assertThat(mismatch).as(kernels.describe()).isEqualTo(-1);
        }
      }
    }
  }

  private void compare(Setup setup, int[][] chunks) {
    Inputs inputs = new Inputs(setup, chunks);
    candidates.compare(
        "append+attend", setup.toString(), a -> new Run(a, setup, inputs).all(false));
  }

  /** Seeded q, k and v of every step. */
  private final class Inputs {
    final int[][] chunks;
    final List<float[]> q = new ArrayList<>();
    final List<float[]> k = new ArrayList<>();
    final List<float[]> v = new ArrayList<>();

    Inputs(Setup s, int[][] chunks) {
      this.chunks = chunks;
      for (int[] chunk : chunks) {
        int rows = IntStream.of(chunk).sum();
        q.add(floats(rows * s.kvHeads * s.headsPerGroup * s.headDim, 1));
        k.add(floats(rows * s.kvHeads * s.headDim, Math.max(s.spread, 1e-3f)));
        v.add(floats(rows * s.kvHeads * s.headDim, s.spread));
      }
    }

    private float[] floats(int n, float spread) {
      float[] x = new float[n];
      for (int i = 0; i < n; i++) x[i] = spread * (float) random.nextGaussian();
      return x;
    }
  }

  /** The steps of one run on one backend; collects every bit that they produce. */
  private static final class Run {
    private final Arena a;
    private final Setup s;
    private final Inputs in;
    private final HalfPages[] pages;
    private final RopeTable rope;
    private final List<int[]> results = new ArrayList<>();
    private PrefixAttention attention = PrefixAttention.SHARED;

    Run(Arena a, Setup s, Inputs in) {
      this.a = a;
      this.s = s;
      this.in = in;
      int sequences = in.chunks[0].length;
      int most = 0;
      for (int i = 0; i < sequences; i++) {
        int sequence = i;
        int own = Arrays.stream(in.chunks).mapToInt(c -> c[sequence]).sum();
        most = Math.max(most, own + 64 * s.shared);
      }
      pages = new HalfPages[sequences];
      for (int i = 0; i < sequences; i++) {
        pages[i] = new HalfPages(a, s.layout(), (most + 63) / 64 + 1);
        if (i > 0) pages[i].shareFirst(pages[0], s.shared);
      }
      double[] frequencies = new double[s.rotary / 2];
      for (int i = 0; i < frequencies.length; i++) {
        frequencies[i] = Math.pow(10000, -2.0 * i / s.rotary);
      }
      rope = RopeTable.of(a.kernels, frequencies, 64 * pages[0].count());
    }

    int[] all(boolean oneByOne) {
      // Sequence 0 fills the shared pages in its first steps; the others start behind them.
      int[] next = new int[pages.length];
      for (int i = 1; i < next.length; i++) next[i] = 64 * s.shared;
      for (int step = 0; step < in.chunks.length; step++) step(step, next, oneByOne);
      for (HalfPages sequence : pages) results.add(sequence.bytes());
      return results.stream().flatMapToInt(IntStream::of).toArray();
    }

    private void step(int step, int[] next, boolean oneByOne) {
      int rows = IntStream.of(in.chunks[step]).sum();
      int[] positions = new int[rows];
      List<Slice> slices = new ArrayList<>();
      List<List<KvSegment>> segments = new ArrayList<>();
      int row = 0;
      for (int i = 0; i < pages.length; i++) {
        int count = in.chunks[step][i];
        if (count == 0) continue;
        slices.add(new Slice(i, row, count));
        for (int j = 0; j < count; j++) positions[row++] = next[i]++;
        segments.add(List.of(pages[i].dense(0, next[i])));
      }
      KvView view = new KvView(s.layout(), segments, attention);
      TokenBatch batch = new TokenBatch(rows, new int[rows], positions, slices, new int[0]);
      int d = s.headDim;
      int kvWidth = s.kvHeads * d;
      int qWidth = kvWidth * s.headsPerGroup;
      Tensor q = a.tensor(rows, qWidth, 5, in.q.get(step));
      Tensor k = a.tensor(rows, kvWidth, 3, in.k.get(step));
      Tensor v = a.tensor(rows, kvWidth, in.v.get(step));
      Tensor out = a.zeros(rows, qWidth);
      Tensor state = a.zeros(rows, 2 * s.kvHeads * s.headsPerGroup);
      a.kernels.append(s.shape(), 1, k, v, batch, view, rope);
      if (!oneByOne) {
        a.kernels.attend(s.shape(), 1, q, batch, view, rope, out, state);
      } else {
        for (int slice = 0; slice < slices.size(); slice++) {
          for (int r = slices.get(slice).firstRow(); r < slices.get(slice).endRow(); r++) {
            TokenBatch one =
                new TokenBatch(
                    1,
                    new int[1],
                    new int[] {positions[r]},
                    List.of(new Slice(0, 0, 1)),
                    new int[0]);
            KvView own = new KvView(s.layout(), List.of(view.segments(slice)));
            a.kernels.attend(
                s.shape(),
                1,
                q.rows(r, r + 1),
                one,
                own,
                rope,
                out.rows(r, r + 1),
                state.rows(r, r + 1));
          }
        }
      }
      results.add(Arena.bits(out));
      results.add(Arena.bits(state));
    }
  }
}
