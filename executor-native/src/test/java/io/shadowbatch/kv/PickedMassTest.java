package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.PromptRig.Attended;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Sizes;
import io.shadowbatch.tensor.Tensor;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How much of what a row would see it reads, and what the rest costs at most. */
class PickedMassTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final int LAYER = 1;
  private static final int PROMPT = 700;
  private static final int QUERIES = 6;

  private final Kernels kernels = Backend.open("cpu", 2);

  @BeforeEach
  void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @AfterEach
  void close() {
    kernels.close();
  }

  private static ShadowSpec spec(int budgetChunks) {
    return new ShadowSpec(8, 8 * budgetChunks, 4, 32, 0, Attend.PRIVATE, null, 0);
  }

  private PromptRig rig(Sizes sizes, ShadowSpec spec) {
    return new PromptRig(kernels, sizes, spec, StoreRig.rope(kernels, sizes, 1024));
  }

  /** T7, T9: the output's error by the mass that is not captured, which falls with the budget. */
  @ParameterizedTest
  @CsvSource({"INT8,1", "INT8,3", "INT8,7", "FP16,1", "FP16,3", "FP16,4"})
  void whatIsLostIsBoundedByTheMassThatIsNotCaptured(KvCodec codec, int group) {
    Sizes sizes = new Sizes(codec, 2, 2, group, 64);
    MadeKeys made = new MadeKeys(SEED, 128);
    float[][] k = made.keys(PROMPT + 1);
    float[][] v = made.values(PROMPT + 1);
    float[][] queries = new float[QUERIES][];
    for (int n = 0; n < QUERIES; n++) queries[n] = made.query(64, group, 1.5f);
    double[][] before = new double[QUERIES][sizes.kvHeads()];
    for (int budget : new int[] {1, 4, 16, 48, 100}) {
      try (PromptRig rig = rig(sizes, spec(budget))) {
        rig.append(0, k, v);
        rig.seal(0);
        double least = group;
        for (int n = 0; n < QUERIES; n++) {
          Tensor q = rig.tensor(new float[][] {queries[n]});
          double[] captured = captured(rig, q, v);
          for (int head = 0; head < captured.length; head++) {
            assertThat(captured[head]).isGreaterThanOrEqualTo(before[n][head] - 1e-5);
            if (budget == 100) assertThat(captured[head]).isCloseTo(group, within(1e-3));
            least = Math.min(least, captured[head]);
          }
          before[n] = captured;
          boolean compared = budget == 16 && n == 0;
          if (compared) assertThat(stored(sizes, budget, k, v, q)).isEqualTo(sparse(rig, q));
        }
        if (budget == 1) assertThat(least).as("the premise").isLessThan(0.9 * group);
      }
    }
  }

  private static float[] sparse(PromptRig rig, Tensor q) {
    return row(rig.sparse(LAYER, List.of(0), q).out());
  }

  /** The mass that each KV head's picks have; checks the error of every query head. */
  private static double[] captured(PromptRig rig, Tensor q, float[][] v) {
    int group = rig.sizes.group();
    double rounding = rig.sizes.codec() == KvCodec.INT8 ? 1.02 : 1.001;
    Attended dense = rig.dense(LAYER, List.of(0), q);
    Tensor mass = rig.mass(LAYER, List.of(0), q, dense);
    Attended sparse = rig.sparse(LAYER, List.of(0), q);
    double[] captured = new double[rig.sizes.kvHeads()];
    for (int head = 0; head < captured.length; head++) {
      captured[head] = rig.captured(mass, 0, 0, head);
      double largest = longest(v, head * 64) * rounding;
      double shares = 0;
      for (int j = head * group; j < (head + 1) * group; j++) {
        double share = sparse.sum(0, j) / dense.sum(0, j);
        shares += share;
        assertThat(distance(sparse.out(), dense.out(), 64 * j))
            .as("query head %d, captured %f", j, share)
            .isLessThanOrEqualTo(2 * (1 - share) * largest + 1e-3);
      }
      // The softmax of what was picked says the same as the mass of all positions.
      assertThat(shares).isCloseTo(captured[head], within(2e-4 * group));
    }
    return captured;
  }

  /** What the store itself gives. */
  private float[] stored(Sizes sizes, int budget, float[][] k, float[][] v, Tensor q) {
    try (PromptRig tensors = rig(sizes, spec(budget));
        KvStore store =
            new ShadowKvStore(
                kernels,
                sizes.shapes(),
                tensors.rope,
                spec(budget),
                1 << 26,
                HostMemory.of(1 << 26),
                PrefixAttention.SHARED)) {
      store.reserve(0, PROMPT + 1);
      int width = q.columns();
      TokenBatch prompt = batch(0, PROMPT);
      TokenBatch row = batch(PROMPT, PROMPT + 1);
      Tensor keys = tensors.tensor(k);
      Tensor values = tensors.tensor(v);
      Tensor none = tensors.tensor(new float[PROMPT][width]);
      Tensor out = tensors.tensor(new float[PROMPT][width]);
      for (int layer = 0; layer < sizes.layers(); layer++) {
        Tensor first = keys.rows(0, PROMPT);
        store.attend(layer, none, first, values.rows(0, PROMPT), prompt, out);
      }
      store.seal(0, PROMPT);
      Tensor own = keys.rows(PROMPT, PROMPT + 1);
      store.attend(LAYER, q, own, values.rows(PROMPT, PROMPT + 1), row, out);
      return row(out);
    }
  }

  private static TokenBatch batch(int from, int to) {
    int n = to - from;
    int[] positions = IntStream.range(from, to).toArray();
    return new TokenBatch(n, new int[n], positions, List.of(new Slice(0, 0, n)), new int[0]);
  }

  private static float[] row(Tensor out) {
    float[] row = new float[out.columns()];
    out.readRow(0, row);
    return row;
  }

  private static double distance(Tensor a, Tensor b, int from) {
    double squares = 0;
    for (int i = from; i < from + 64; i++) squares += Math.pow(a.f32(0, i) - b.f32(0, i), 2);
    return Math.sqrt(squares);
  }

  private static double longest(float[][] v, int from) {
    double most = 0;
    for (float[] row : v) {
      double squares = 0;
      for (int i = from; i < from + 64; i++) squares += row[i] * row[i];
      most = Math.max(most, squares);
    }
    return Math.sqrt(most);
  }

  /** T2: what is picked, always read and left out are all chunks, each once; the tail follows. */
  @Test
  void everyChunkIsPickedOnceAtMost() {
    Sizes sizes = new Sizes(KvCodec.FP16, 2, 2, 3, 64);
    for (int prompt : new int[] {96, 97, 159, 160, 431, 432, 433}) {
      for (int budget : new int[] {1, 5, 100}) {
        try (PromptRig rig = rig(sizes, spec(budget))) {
          MadeKeys made = new MadeKeys(SEED, 128);
          rig.append(0, made.keys(prompt + 1), made.values(prompt + 1));
          SparsePrompt sealed = rig.seal(0);
          rig.sparse(LAYER, List.of(0), rig.tensor(new float[][] {made.query(64, 3, 2)}));
          assertThat(prompt - sealed.sparseTokens()).isBetween(32, 95);
          int chunks = sealed.sparseTokens() / 8;
          for (int head = 0; head < 2; head++) {
            int[] exact = rig.exact(0, LAYER, head);
            int[] picked = rig.picked(0, head);
            assertThat(picked).isSorted().doesNotHaveDuplicates().contains(exact);
            assertThat(picked).hasSize(Math.min(chunks, exact.length + budget));
            assertThat(picked[0]).isZero();
            assertThat(picked[picked.length - 1]).isLessThan(chunks);
          }
        }
      }
    }
  }

  /** T18: with the picks of a group no row sees less than with its own. */
  @Test
  void unionNeverCapturesLess() {
    Sizes sizes = new Sizes(KvCodec.INT8, 2, 2, 3, 64);
    List<Integer> ids = List.of(0, 1, 2, 3);
    double[][] own = captured(sizes, spec(6), ids);
    double[][] all = captured(sizes, spec(6).attending(Attend.UNION), ids);
    int more = 0;
    for (int i = 0; i < own.length; i++) {
      for (int j = 0; j < own[i].length; j++) {
        assertThat(all[i][j]).as("row %d, head %d", i, j).isGreaterThanOrEqualTo(own[i][j] - 1e-6);
        more += all[i][j] > own[i][j] + 1e-3 ? 1 : 0;
      }
    }
    System.out.printf("union captures more for %d of %d%n", more, own.length * own[0].length);
    assertThat(more).isPositive();
  }

  /** Of each row: its KV heads by the mass of positions, then its query heads by their states. */
  private double[][] captured(Sizes sizes, ShadowSpec spec, List<Integer> ids) {
    try (PromptRig rig = rig(sizes, spec)) {
      MadeKeys made = new MadeKeys(SEED, 128);
      for (int id : ids) {
        if (id == 0) rig.append(0, made.keys(576), made.values(576));
        else rig.fork(0, 576, id);
      }
      float[][] q = new float[ids.size()][];
      for (int id : ids) {
        int own = 40 + 50 * id;
        rig.append(id, made.keys(own), made.values(own));
        rig.seal(id);
        q[id] = made.query(64, 3, 3);
      }
      Tensor queries = rig.tensor(q);
      Attended dense = rig.dense(LAYER, ids, queries);
      Tensor mass = rig.mass(LAYER, ids, queries, dense);
      Attended sparse = rig.sparse(LAYER, ids, queries);
      double[][] result = new double[q.length][2 + 6];
      for (int row = 0; row < q.length; row++) {
        for (int head = 0; head < 2; head++) {
          result[row][head] = rig.captured(mass, row, row, head);
        }
        for (int head = 0; head < 6; head++) {
          result[row][2 + head] = sparse.sum(row, head) / dense.sum(row, head);
        }
      }
      return result;
    }
  }
}
