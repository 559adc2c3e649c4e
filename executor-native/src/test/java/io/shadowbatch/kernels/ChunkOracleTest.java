package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.ChunkRig.Sequence;
import io.shadowbatch.kernels.ChunkRig.Setup;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Picks against plain double arithmetic over the stored keys, and the bound of what is lost. */
class ChunkOracleTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261126L);
  private static final int CHUNK = 8;

  @BeforeAll
  static void print() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  private interface Body {
    void of(ChunkRig rig);
  }

  private static void onBothCodecs(Body body) {
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (int group : new int[] {1, 3, 7}) {
        try (Kernels kernels = Backend.open("cpu", 1);
            Arena a = new Arena(kernels)) {
          Setup setup = new Setup(codec, 64, 2, group, CHUNK, 1.5f);
          body.of(new ChunkRig(a, setup, List.of(new Sequence(1472, 40, 4)), 0, SEED));
        }
      }
    }
  }

  /** The stored keys, queries and landmarks of a head as doubles. */
  private static final class Oracle {
    final ChunkRig rig;
    final int kvHead;
    final int chunks;
    final double[][] keys; // [prompt][d]

    Oracle(ChunkRig rig, int kvHead) {
      this.rig = rig;
      this.kvHead = kvHead;
      this.chunks = rig.chunks(0);
      KvLayout layout = rig.s.shape().layout();
      keys = new double[chunks * CHUNK][layout.headDim()];
      for (int p = 0; p < keys.length; p++) {
        ReferenceTile tile =
            new ReferenceTile(layout, rig.pages.get(0).keys[p / 64], ChunkRig.LAYER, kvHead);
        for (int i = 0; i < keys[p].length; i++) keys[p][i] = tile.storedKey(p % 64, i);
      }
    }

    double landmark(int c, int i) {
      LandmarkLayout to = rig.landmarkLayout;
      int at = (int) to.blockOffset(ChunkRig.LAYER, kvHead);
      var page = rig.landmarks.get(0)[c / to.chunks()];
      at += 2 * (i * to.chunks() + c % to.chunks());
      return ReferenceMath.fromHalf(page.storage().bytes().getShort(at));
    }

    double[] query(int row, int j) {
      Setup s = rig.s;
      float[] x = new float[rig.q.columns()];
      rig.q.readRow(row, x);
      float[] cos = new float[rig.rope.cos().columns()];
      float[] sin = new float[cos.length];
      rig.rope.cos().readRow(rig.batch.positions()[row], cos);
      rig.rope.sin().readRow(rig.batch.positions()[row], sin);
      int from = (kvHead * s.group() + j) * s.d();
      ReferenceMath.rope(x, from, cos, sin);
      if (s.codec() == KvCodec.INT8) ReferenceMath.rotate(x, from, s.d(), 64);
      double[] q = new double[s.d()];
      for (int i = 0; i < q.length; i++) q[i] = (double) x[from + i] * s.shape().scale();
      return q;
    }

    /** Products of query head j and all landmarks. */
    double[] products(int row, int j) {
      double[] q = query(row, j);
      double[] z = new double[chunks];
      for (int c = 0; c < chunks; c++) {
        for (int i = 0; i < q.length; i++) z[c] += landmark(c, i) * q[i];
      }
      return z;
    }

    /** How scores of heads become one: the paper's way, or two wrong ones. */
    enum Way {
      LARGEST_SHARE,
      SUM_OF_SHARES,
      LARGEST_PRODUCT
    }

    double[] scores(int row, Set<Integer> exact, Way way) {
      double[] score = new double[chunks];
      Arrays.fill(score, way == Way.SUM_OF_SHARES ? 0 : Double.NEGATIVE_INFINITY);
      for (int j = 0; j < rig.s.group(); j++) {
        double[] z = products(row, j);
        double sum = 0;
        for (int c = 0; c < chunks; c++) if (!exact.contains(c)) sum += Math.exp(z[c]);
        for (int c = 0; c < chunks; c++) {
          double log = z[c] - Math.log(sum);
          if (way == Way.SUM_OF_SHARES) score[c] += Math.exp(log);
          if (way == Way.LARGEST_SHARE) score[c] = Math.max(score[c], log);
          if (way == Way.LARGEST_PRODUCT) score[c] = Math.max(score[c], z[c]);
        }
      }
      return score;
    }
  }

  private static Set<Integer> best(double[] score, Set<Integer> exact, int budget) {
    Set<Integer> all = new HashSet<>(exact);
    IntStream.range(0, score.length)
        .boxed()
        .filter(c -> !exact.contains(c))
        .sorted(Comparator.comparingDouble(c -> -score[c]))
        .limit(budget)
        .forEach(all::add);
    return all;
  }

  private static Set<Integer> ids(ChunkPicks picks, int row) {
    return Arrays.stream(ChunkRig.ids(picks, row)).boxed().collect(Collectors.toSet());
  }

  @Test
  void picksAreTheBestOfDoubleArithmeticButForTies() {
    int[] same = new int[3];
    int[] of = new int[1];
    onBothCodecs(
        rig -> {
          var exact = rig.exact(0);
          int budget = 24;
          ChunkPicks picks = pick(rig, exact, budget);
          for (int row = 0; row < rig.batch.size(); row++) {
            for (int head = 0; head < rig.s.kvHeads(); head++) {
              Oracle oracle = new Oracle(rig, head);
              Set<Integer> fixed = ids(new ChunkPicks(exact, CHUNK), rig.s.kvHeads() + head);
              Set<Integer> picked = ids(picks, row * rig.s.kvHeads() + head);
              double[] score = oracle.scores(row, fixed, Oracle.Way.LARGEST_SHARE);
              assertThat(picked).hasSize(fixed.size() + budget).containsAll(fixed);
              double worst =
                  picked.stream()
                      .filter(c -> !fixed.contains(c))
                      .mapToDouble(c -> score[c])
                      .min()
                      .orElseThrow();
              for (int c = 0; c < score.length; c++) {
                if (!picked.contains(c)) {
                  // Of floats near 10, so some units in the last place.
                  assertThat(score[c]).as("chunk %d is left out", c).isLessThan(worst + 1e-5);
                }
              }
              if (rig.s.group() == 1) continue;
              of[0] += budget;
              for (Oracle.Way way : Oracle.Way.values()) {
                Set<Integer> other = best(oracle.scores(row, fixed, way), fixed, budget);
                other.retainAll(picked);
                same[way.ordinal()] += other.size() - fixed.size();
              }
            }
          }
        });
    System.out.printf(
        "equal picks of %d: share %d, sum %d, product %d%n", of[0], same[0], same[1], same[2]);
    assertThat(same[0]).isGreaterThanOrEqualTo(of[0] - 1);
    assertThat((double) same[1] / of[0]).as("sum of shares").isLessThan(0.97);
    assertThat((double) same[2] / of[0]).as("largest product").isLessThan(0.97);
  }

  private static ChunkPicks pick(ChunkRig rig, io.shadowbatch.tensor.Tensor exact, int budget) {
    int most = exact.columns() - 1 + budget;
    ChunkPicks picks =
        new ChunkPicks(rig.ints(rig.batch.size() * rig.s.kvHeads(), 1 + most), CHUNK);
    ChunkView view =
        new ChunkView(
            rig.landmarkLayout, List.of(new ChunkView.Chunks(rig.landmarks.get(0), exact, budget)));
    rig.a.kernels.selectChunks(
        rig.s.shape(), ChunkRig.LAYER, rig.q, rig.batch, view, rig.rope, picks);
    return picks;
  }

  @Test
  void aLandmarksProductIsTheMeanOfItsKeysProducts() {
    onBothCodecs(
        rig -> {
          Oracle oracle = new Oracle(rig, 1);
          double[] q = oracle.query(0, 0);
          double[] z = oracle.products(0, 0);
          double size = Math.sqrt(Arrays.stream(q).map(x -> x * x).sum());
          for (int c = 0; c < z.length; c++) {
            double mean = 0;
            for (int t = 0; t < CHUNK; t++) {
              for (int i = 0; i < q.length; i++) {
                mean += oracle.keys[c * CHUNK + t][i] * q[i] / CHUNK;
              }
            }
            // Halves of landmarks: 2^-11 of numbers of about 0.5, 64 of them.
            assertThat(Math.abs(z[c] - mean)).isLessThan(3e-3 * size);
          }
        });
  }

  @Test
  void likenessIsTheLeastCosineOfAChunk() {
    onBothCodecs(
        rig -> {
          Oracle oracle = new Oracle(rig, 0);
          LandmarkLayout to = rig.landmarkLayout;
          int at = (int) to.blockOffset(ChunkRig.LAYER, 0) + 2 * rig.s.d() * to.chunks();
          for (int c = 0; c < oracle.chunks; c++) {
            double[] mean = new double[rig.s.d()];
            for (int t = 0; t < CHUNK; t++) {
              for (int i = 0; i < mean.length; i++) {
                mean[i] += oracle.keys[c * CHUNK + t][i] / CHUNK;
              }
            }
            double least = 1;
            for (int t = 0; t < CHUNK; t++) {
              double[] key = oracle.keys[c * CHUNK + t];
              double lengths = Math.sqrt(dot(key, key) * dot(mean, mean));
              least = Math.min(least, dot(key, mean) / lengths);
            }
            var page = rig.landmarks.get(0)[c / to.chunks()].storage().bytes();
            assertThat((double) page.getFloat(at + 4 * (c % to.chunks())))
                .isCloseTo(least, org.assertj.core.data.Offset.offset(1e-5));
          }
        });
  }

  private static double dot(double[] x, double[] y) {
    return IntStream.range(0, x.length).mapToDouble(i -> x[i] * y[i]).sum();
  }

  @Test
  void picksAreNestedInTheBudgetAndNeverCaptureLess() {
    onBothCodecs(
        rig -> {
          var exact = rig.exact(0);
          var mass = rig.mass(rig.attend(rig.view(null)).state());
          ChunkPicks before = pick(rig, exact, 4);
          for (int budget : new int[] {8, 16, 64, 128, 200}) {
            ChunkPicks picks = pick(rig, exact, budget);
            for (int row = 0; row < picks.ids().rows(); row++) {
              assertThat(ids(picks, row)).containsAll(ids(before, row));
            }
            before = picks;
          }
          for (int head = 0; head < rig.s.kvHeads(); head++) {
            double all = 0;
            for (int p = 0; p < mass.columns(); p++) all += mass.f32(head, p);
            double rows = rig.batch.size() * rig.s.group();
            assertThat(all).as("mass of all positions").isBetween(rows - 1e-3, rows + 1e-3);
          }
        });
  }

  @Test
  void whatIsLostIsBoundedByTheMassThatIsNotCaptured() {
    try (Kernels kernels = Backend.open("cpu", 1);
        Arena a = new Arena(kernels)) {
      Setup setup = new Setup(KvCodec.FP16, 64, 2, 1, CHUNK, 1.5f);
      ChunkRig rig = new ChunkRig(a, setup, List.of(new Sequence(512, 40, 1)), 0, SEED);
      ChunkRig.Attended dense = rig.attend(rig.view(null));
      var mass = rig.mass(dense.state());
      for (int budget : new int[] {2, 8, 32, 61}) {
        ChunkPicks picks = rig.select(budget);
        ChunkRig.Attended sparse = rig.attend(rig.view(picks));
        for (int head = 0; head < 2; head++) {
          double captured = 0;
          for (int id : ChunkRig.ids(picks, head)) {
            for (int t = 0; t < CHUNK; t++) captured += mass.f32(head, id * CHUNK + t);
          }
          for (int p = 512; p < 552; p++) captured += mass.f32(head, p);
          double largest = 0;
          for (int p = 0; p < 552; p++) largest = Math.max(largest, valueLength(rig, head, p));
          double lost = 0;
          for (int i = head * 64; i < head * 64 + 64; i++) {
            lost += Math.pow(sparse.out().f32(0, i) - dense.out().f32(0, i), 2);
          }
          assertThat(captured).isBetween(0.01, 1.0001);
          assertThat(Math.sqrt(lost)).isLessThanOrEqualTo(2 * (1 - captured) * largest + 1e-4);
          // The state of picked attention is that of the captured positions.
          double sum = sum(sparse, head) / sum(dense, head);
          assertThat(sum)
              .as("captured")
              .isCloseTo(captured, org.assertj.core.data.Offset.offset(1e-4));
        }
      }
    }
  }

  private static double sum(ChunkRig.Attended x, int head) {
    return Math.exp(x.state().f32(0, 2 * head)) * x.state().f32(0, 2 * head + 1);
  }

  private static double valueLength(ChunkRig rig, int head, int position) {
    KvLayout layout = rig.s.shape().layout();
    KvSegment all = rig.pages.get(0).dense(0, 552);
    ReferenceTile tile = new ReferenceTile(layout, all, position / 64, ChunkRig.LAYER, head);
    double squares = 0;
    for (int i = 0; i < 64; i++) squares += Math.pow(tile.value(position % 64, i), 2);
    return Math.sqrt(squares);
  }
}
