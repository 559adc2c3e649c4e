package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kernels.cuda.AttentionRig.Rows;
import io.shadowbatch.kernels.cuda.AttentionRig.Step;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Storing and attending on the device, beside the reference in floats over the same pages. */
class CudaAttentionTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261121L);

  /** Queries and weights are rounded to halves here, but not by the reference. */
  private static final double BOUND = 3e-3;

  private static Gpu gpu;
  private static CudaAttention cuda;

  @BeforeAll
  static void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    gpu = StandIn.open();
    cuda = new CudaAttention(gpu);
  }

  @AfterAll
  static void close() {
    if (cuda != null) cuda.close();
    if (gpu != null) gpu.close();
  }

  private static AttentionRig rig(int headDim, int kvHeads, int group, int window) {
    return new AttentionRig(gpu, headDim, kvHeads, group, window, SEED);
  }

  private record Outputs(Tensor q, float[] out, float[] state) {}

  /** Keys and values of a step on both sides. */
  private static void append(AttentionRig r, Step[] step) {
    TokenBatch batch = step[0].batch();
    int kvWidth = r.shape.layout().kvHeads() * r.shape.layout().headDim();
    Tensor k = r.floats(batch.size(), kvWidth);
    Tensor v = r.floats(batch.size(), kvWidth);
    int layer = AttentionRig.LAYER;
    r.reference.append(r.shape, layer, k, v, batch, step[0].view(), r.rope);
    cuda.append(r.shape, layer, r.toDevice(k), r.toDevice(v), batch, step[1].view(), r.deviceRope);
  }

  /** Appends and attends on both sides; the device's outputs. */
  private static Outputs run(AttentionRig r, Step[] step) {
    append(r, step);
    TokenBatch batch = step[0].batch();
    int width = r.shape.queryHeads() * r.shape.layout().headDim();
    int layer = AttentionRig.LAYER;
    Tensor q = r.floats(batch.size(), width);
    Tensor out = r.floats(batch.size(), width);
    Tensor state = r.floats(batch.size(), 2 * r.shape.queryHeads());
    r.reference.attend(r.shape, layer, q, batch, step[0].view(), r.rope, out, state);
    Outputs got = attend(r, cuda, step[1], r.toDevice(q));
    assertThat(AttentionRig.error(got.out, AttentionRig.all(out))).isLessThan(BOUND);
    assertThat(AttentionRig.error(got.state, AttentionRig.all(state))).isLessThan(BOUND);
    return got;
  }

  private static Outputs attend(AttentionRig r, CudaAttention by, Step step, Tensor q) {
    int rows = step.batch().size();
    Tensor out = r.onDevice(rows, q.columns());
    Tensor state = r.onDevice(rows, 2 * r.shape.queryHeads());
    by.attend(r.shape, AttentionRig.LAYER, q, step.batch(), step.view(), r.deviceRope, out, state);
    return new Outputs(q, r.read(out), r.read(state));
  }

  private static Step[] step(AttentionRig r, Rows... rows) {
    return r.step(PrefixAttention.SHARED, null, rows);
  }

  @Test
  void promptsAndDecodesOfAllWidthsAreTheReferences() {
    int[] groups = {1, 2, 3, 4, 7, 8};
    int[] widths = {16, 32, 64, 96, 128, 256};
    for (int i = 0; i < 6; i++) {
      try (AttentionRig r = rig(widths[i], 2, groups[i], 0)) {
        run(r, step(r, new Rows(0, 40), new Rows(1, 3), new Rows(2, 1)));
        run(r, step(r, new Rows(1, 61), new Rows(0, 1)));
        run(r, step(r, new Rows(0, 1), new Rows(1, 1), new Rows(2, 70)));
        assertThat(Arrays.mismatch(r.bytes(0), r.bytes(1))).as("pages").isEqualTo(-1);
      }
    }
  }

  @Test
  void windowsAreTheReferences() {
    for (int window : new int[] {1, 65, 100}) {
      try (AttentionRig r = rig(32, 1, 2, window)) {
        run(r, step(r, new Rows(0, 150), new Rows(1, 3)));
        run(r, step(r, new Rows(0, 1), new Rows(1, 70)));
      }
    }
  }

  /** Sequences 1 to 9 share 1024 tokens, of them 6 to 9 another 512. */
  private static Step[] sharing(AttentionRig r, PrefixAttention attention) {
    append(r, step(r, new Rows(0, 1030)));
    r.share(0, 10, 16);
    append(r, step(r, new Rows(10, 520)));
    Rows[] rows = new Rows[9];
    for (int i = 1; i <= 9; i++) {
      r.share(i < 6 ? 0 : 10, i, i < 6 ? 16 : 24);
      rows[i - 1] = new Rows(i, i == 3 ? 3 : 1);
    }
    return r.step(attention, null, rows);
  }

  @Test
  void sharedPrefixesHaveTheBitsOfSeparateOnes() {
    try (AttentionRig r = rig(32, 1, 8, 0)) {
      Step[] shared = sharing(r, PrefixAttention.SHARED);
      Outputs together = run(r, shared);
      KvView view = shared[1].view();
      List<Slice> slices = shared[1].batch().slices();
      KvView apart =
          new KvView(
              r.shape.layout(),
              slices.stream().map(s -> view.segments(slices.indexOf(s))).toList(),
              PrefixAttention.SEPARATE);
      Outputs separate = attend(r, cuda, new Step(shared[1].batch(), apart), together.q);
      assertThat(separate.out).isEqualTo(together.out);
      assertThat(separate.state).isEqualTo(together.state);
      try (CudaAttention small = new CudaAttention(gpu, 100_000)) {
        Outputs rounds = attend(r, small, shared[1], together.q);
        assertThat(rounds.out).as("in rounds").isEqualTo(together.out);
        assertThat(rounds.state).as("in rounds").isEqualTo(together.state);
      }
    }
  }

  @Test
  void aSliceHasTheBitsItHasAlone() {
    try (AttentionRig r = rig(64, 2, 3, 0)) {
      append(r, step(r, new Rows(0, 600), new Rows(1, 30)));
      Step step = step(r, new Rows(1, 50), new Rows(0, 1), new Rows(2, 1))[1];
      Tensor q = r.toDevice(r.floats(52, r.shape.queryHeads() * 64));
      Outputs all = attend(r, cuda, step, q);
      for (Slice s : step.batch().slices()) {
        int[] positions = Arrays.copyOfRange(step.batch().positions(), s.firstRow(), s.endRow());
        Slice own = new Slice(0, 0, s.rows());
        TokenBatch batch =
            new TokenBatch(s.rows(), new int[s.rows()], positions, List.of(own), new int[0]);
        int slice = step.batch().slices().indexOf(s);
        KvView view = new KvView(r.shape.layout(), List.of(step.view().segments(slice)));
        Outputs alone = attend(r, cuda, new Step(batch, view), q.rows(s.firstRow(), s.endRow()));
        int width = q.columns();
        assertThat(alone.out)
            .isEqualTo(Arrays.copyOfRange(all.out, s.firstRow() * width, s.endRow() * width));
      }
    }
  }

  @Test
  void pickedChunksAreTheReferences() {
    for (int chunk : new int[] {4, 8, 16}) {
      try (AttentionRig r = rig(32, 2, 2, 0)) {
        append(r, step(r, new Rows(0, 600), new Rows(1, 70)));
        // More than a split of gathered tokens; rows of a dense slice between picked ones.
        ChunkPicks[] picks = r.picks(53, chunk, 560 / chunk, 9);
        Rows[] rows = {new Rows(0, 2, 9), new Rows(1, 50), new Rows(2, 1)};
        Outputs got = run(r, r.step(PrefixAttention.SHARED, picks, rows));
        assertThat(got.out).doesNotContain(Float.NaN);
      }
    }
  }

  @Test
  void massIsTheReferences() {
    for (int window : new int[] {0, 60}) {
      try (AttentionRig r = rig(32, 2, 2, window)) {
        run(r, step(r, new Rows(0, 70), new Rows(1, 3)));
        Step[] step = step(r, new Rows(0, 3), new Rows(1, 1));
        Outputs got = run(r, step);
        Tensor state = r.floats(4, 2 * r.shape.queryHeads());
        for (int i = 0; i < got.state.length; i++) {
          state.setF32(i / state.columns(), i % state.columns(), got.state[i]);
        }
        Tensor q = r.floats(4, r.shape.queryHeads() * 32);
        Tensor mass = r.floats(4, 80);
        Tensor deviceMass = r.toDevice(mass);
        int layer = AttentionRig.LAYER;
        r.reference.attentionMass(
            r.shape, layer, q, step[0].batch(), step[0].view(), r.rope, state, mass);
        cuda.attentionMass(
            r.shape,
            layer,
            r.toDevice(q),
            step[1].batch(),
            step[1].view(),
            r.deviceRope,
            r.toDevice(state),
            deviceMass);
        double error = AttentionRig.error(r.read(deviceMass), AttentionRig.all(mass));
        assertThat(error).isLessThan(1e-5);
      }
    }
  }

  @Test
  void outputsInHostMemoryAreThereOnReturn() {
    try (AttentionRig r = rig(32, 1, 2, 0);
        Storage host = gpu.allocateHost(4L * 40 * 64)) {
      Step[] step = step(r, new Rows(0, 40));
      Outputs got = run(r, step);
      Tensor out = Tensor.of(host, DType.F32, 40, 64);
      cuda.attend(
          r.shape,
          AttentionRig.LAYER,
          got.q,
          step[1].batch(),
          step[1].view(),
          r.deviceRope,
          out,
          null);
      assertThat(AttentionRig.all(out)).isEqualTo(got.out);
    }
  }

  @Test
  void whatIsNotServedIsNamed() {
    for (KvLayout layout :
        List.of(new KvLayout(KvCodec.FP16, 2, 1, 80), new KvLayout(KvCodec.INT8, 2, 1, 64))) {
      AttentionShape shape = new AttentionShape(layout, 1, 1, 0);
      try (AttentionRig r = rig(64, 1, 1, 0)) {
        Tensor x = r.onDevice(1, layout.headDim());
        TokenBatch none = new TokenBatch(0, new int[0], new int[0], List.of(), new int[0]);
        KvView view = new KvView(layout, List.of());
        assertThatThrownBy(() -> cuda.attend(shape, 0, x, none, view, r.deviceRope, x, null))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("FP16 with heads of [16, 32, 64, 96, 128, 256]")
            .hasMessageContaining("%s of %d".formatted(layout.codec(), layout.headDim()));
      }
    }
  }
}
