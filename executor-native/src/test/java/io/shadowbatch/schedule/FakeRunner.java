package io.shadowbatch.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.FullKvStore;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * A model that can be checked by hand, on the real store: keys and queries are zero, so attention
 * is the mean of the values seen, and a token's value is a hash of all tokens up to it. The next
 * token is a hash of the whole sequence. Wrong pages, stale pages or pages read before they were
 * written all show as a wrong mean.
 */
final class FakeRunner {
  private static final int WIDTH = 32;
  static final int VOCABULARY = 50;

  private final ReferenceKernels kernels = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
  private final int rows;
  private final Tensor zero;
  private final Tensor values;
  private final Tensor out;
  final FullKvStore store;
  private long computedRows;

  FakeRunner(int rows, int pages) {
    KvLayout layout = new KvLayout(KvCodec.F32, 1, 1, WIDTH);
    AttentionShape shape = new AttentionShape(layout, 1, 1f, 0);
    this.rows = rows;
    double[] still = new double[WIDTH / 2];
    RopeTable rope = RopeTable.of(kernels, still, 4096);
    store = new FullKvStore(kernels, List.of(shape), rope, pages * layout.pageBytes());
    zero = floats();
    values = floats();
    out = floats();
  }

  private Tensor floats() {
    return Tensor.of(kernels.allocate(4L * rows * WIDTH), DType.F32, rows, WIDTH);
  }

  /** Rows computed so far, each token as often as it was. */
  long computedRows() {
    return computedRows;
  }

  /** Computes a plan and checks every row's attention. */
  void compute(StepPlan plan) {
    List<Slice> slices = new ArrayList<>();
    int[] tokens = new int[plan.tokens()];
    int[] positions = new int[plan.tokens()];
    float[][] expected = new float[plan.tokens()][];
    int n = 0;
    for (StepPlan.Piece piece : plan.pieces()) {
      Sequence s = piece.sequence();
      slices.add(new Slice(s.id(), n, piece.tokens()));
      float[][] sums = sums(s, s.computed(), s.computed() + piece.tokens());
      for (int i = 0; i < piece.tokens(); i++) {
        positions[n] = s.computed() + i;
        tokens[n] = s.tokens()[positions[n]];
        values.writeRow(n, value(hash(s, positions[n] + 1)));
        expected[n++] = sums[i];
      }
    }
    computedRows += n;
    TokenBatch batch = new TokenBatch(n, tokens, positions, slices, new int[0]);
    store.attend(0, zero, zero, values, batch, out);
    float[] found = new float[WIDTH];
    for (int i = 0; i < n; i++) {
      out.readRow(i, found);
      float inverse = 1f / (positions[i] + 1);
      for (int j = 0; j < WIDTH; j++) expected[i][j] *= inverse;
      assertThat(found).as("mean of values up to position %d", positions[i]).isEqualTo(expected[i]);
    }
  }

  /** Sums of values over positions [0, p] for p in [from, to). */
  private static float[][] sums(Sequence s, int from, int to) {
    float[][] sums = new float[to - from][];
    float[] sum = new float[WIDTH];
    long h = 17;
    for (int p = 0; p < to; p++) {
      h = mix(h * 31 + s.tokens()[p]);
      float[] v = value(h);
      for (int j = 0; j < WIDTH; j++) sum[j] += v[j];
      if (p >= from) sums[p - from] = sum.clone();
    }
    return sums;
  }

  private static long hash(Sequence s, int length) {
    long h = 17;
    for (int p = 0; p < length; p++) h = mix(h * 31 + s.tokens()[p]);
    return h;
  }

  private static float[] value(long hash) {
    float[] v = new float[WIDTH];
    for (int j = 0; j < WIDTH; j++) v[j] = (mix(hash + j) & 0x3ff);
    return v;
  }

  /** What the model says next; depends on nothing but the sequence's tokens. */
  static int next(int[] tokens, int length) {
    long h = 99;
    for (int p = 0; p < length; p++) h = mix(h * 31 + tokens[p]);
    return (int) Math.floorMod(h, (long) VOCABULARY);
  }

  private static long mix(long z) {
    z = (z ^ z >>> 33) * 0xff51afd7ed558ccdL;
    return z ^ z >>> 33;
  }
}
