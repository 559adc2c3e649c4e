package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels.Store;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.tensor.Bf16;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The dense operations beside the reference's float form, on device memory. */
class CudaDenseTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260101L);

  /** Most that rounding to bfloat16 changes a number, as a part of it. */
  private static final double ROUNDING = 1.0 / 256;

  /** Of two sums of up to 1200 floats in different orders, by norm. */
  private static final double ORDER = 1e-6;

  /** Below this the reference's exponential, which stops at 87, is not exact. */
  private static final double TINY = 1e-35;

  private static Gpu gpu;
  private static CudaDense cuda;
  private final ReferenceKernels reference = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
  private final Random random = new Random(SEED);

  @BeforeAll
  static void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    gpu = StandIn.open();
    cuda = new CudaDense(gpu);
  }

  @AfterAll
  static void close() {
    if (gpu == null) return;
    cuda.close();
    gpu.close();
  }

  private float[] floats(int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = (float) random.nextGaussian();
    return x;
  }

  private static float[] rounded(float[] x) {
    float[] r = new float[x.length];
    for (int i = 0; i < x.length; i++) r[i] = Bf16.toFloat(Bf16.of(x[i]));
    return r;
  }

  /** Rows with a gap behind each, in host memory of the reference. */
  private Tensor host(int rows, int columns, int gap, float[] values) {
    Storage s = reference.allocate(4L * rows * (columns + gap));
    Tensor t = new Tensor(s, 0, DType.F32, rows, columns, columns + gap);
    for (int i = 0; i < rows; i++) {
      t.writeRow(i, Arrays.copyOfRange(values, i * columns, (i + 1) * columns));
    }
    return t;
  }

  /** The same in memory of the device. */
  private static Tensor device(Tensor t) {
    Storage from = gpu.allocateHost(t.storage().byteSize());
    from.bytes().put(0, t.storage().bytes(), 0, (int) t.storage().byteSize());
    Storage to = gpu.allocate(from.byteSize());
    gpu.copy(from.address(), to.address(), from.byteSize());
    from.close();
    return new Tensor(to, t.byteOffset(), t.dtype(), t.rows(), t.columns(), t.rowStride());
  }

  private Tensor device(int rows, int columns, int gap, float[] values) {
    return device(host(rows, columns, gap, values));
  }

  private static Activations operand(int rows, int columns) {
    return Activations.bf16(gpu.allocate(2L * rows * columns), rows, columns);
  }

  private Tensor hostResult(int rows, int columns) {
    return host(rows, columns, 0, new float[rows * columns]);
  }

  /** What a tensor of the device holds. */
  private static float[] read(Tensor t) {
    Storage s = gpu.allocateHost(t.storage().byteSize());
    gpu.copy(t.storage().address(), s.address(), s.byteSize());
    gpu.sync();
    float[] values = new float[t.rows() * t.columns()];
    for (int i = 0; i < values.length; i++) {
      int at = (int) t.at(i / t.columns(), i % t.columns());
      values[i] =
          t.dtype() == DType.F32 ? s.bytes().getFloat(at) : Bf16.toFloat(s.bytes().getShort(at));
    }
    s.close();
    return values;
  }

  private static float[] values(Tensor host) {
    float[] values = new float[host.rows() * host.columns()];
    for (int i = 0; i < values.length; i++) {
      values[i] = host.f32(i / host.columns(), i % host.columns());
    }
    return values;
  }

  private PackedMatrix hostMatrix(int rows, int columns, float[] values) {
    Storage s = reference.allocate(2L * values.length);
    for (int i = 0; i < values.length; i++) s.bytes().putShort(2 * i, Bf16.of(values[i]));
    return new PackedMatrix(s, 0, PackedMatrix.Form.BF16, rows, columns);
  }

  private static PackedMatrix device(PackedMatrix m) {
    Tensor bytes = Tensor.of(m.storage(), DType.U8, 1, (int) m.storage().byteSize());
    return new PackedMatrix(device(bytes).storage(), 0, m.form(), m.rows(), m.columns());
  }

  private static double distance(float[] got, float[] want) {
    assertThat(got).hasSameSizeAs(want);
    double error = 0;
    double norm = 0;
    for (int i = 0; i < want.length; i++) {
      error += Math.pow((double) got[i] - want[i], 2);
      norm += Math.pow(want[i], 2);
    }
    return Math.sqrt(error / norm);
  }

  private static void assertRounded(float[] got, float[] want) {
    assertThat(got).hasSameSizeAs(want);
    for (int i = 0; i < want.length; i++) {
      double most = Math.abs(want[i]) * (ROUNDING + 1e-5) + TINY;
      assertThat((double) got[i]).isBetween(want[i] - most, want[i] + most);
    }
  }

  @Test
  void matmulIsTheReferenceOnTheSameRoundedNumbers() {
    int[][] shapes = {
      {1, 1, 16}, {3, 33, 48}, {16, 100, 576}, {17, 64, 112}, {65, 130, 320}, {200, 129, 1200}
    };
    for (int[] s : shapes) {
      for (int kind = 0; kind < 4; kind++) {
        int n = s[0];
        float[] x = floats(n * s[2]);
        float[] w = floats(s[1] * s[2]);
        Tensor bias = kind % 2 == 0 ? null : host(1, s[1], 0, floats(s[1]));
        Tensor before = host(n, s[1], 5, floats(n * s[1]));
        Tensor exact = host(n, s[1], 5, values(before));
        Tensor out = device(before);
        Store store = kind < 2 ? Store.SET : Store.ADD;
        Activations q = operand(n + 1, s[2]);
        cuda.quantize(device(n, s[2], 4, x), q);
        PackedMatrix m = hostMatrix(s[1], s[2], w);
        cuda.matmul(q, device(m), bias == null ? null : device(bias), out, store);
        float[] got = read(out);
        String name = Arrays.toString(s) + " kind " + kind;

        reference.matmul(floatForm(n, s[2], rounded(x)), m, bias, before, store);
        assertThat(distance(got, values(before))).as(name).isLessThan(ORDER);

        Storage plain = host(s[1], s[2], 0, w).storage();
        PackedMatrix f32 = new PackedMatrix(plain, 0, PackedMatrix.Form.F32, s[1], s[2]);
        reference.matmul(floatForm(n, s[2], x), f32, bias, exact, store);
        if (s[1] > 1) assertThat(distance(got, values(exact))).as(name).isLessThan(ROUNDING);
      }
    }
  }

  private Activations floatForm(int rows, int columns, float[] values) {
    return Activations.f32(host(rows, columns, 0, values).storage(), rows, columns);
  }

  @Test
  void aRowHasTheSameBitsAloneAndAmongOthers() {
    int n = 150;
    int k = 176;
    int columns = 136;
    Activations q = operand(n, k);
    cuda.rmsNorm(device(n, k, 0, floats(n * k)), device(1, k, 0, floats(k)), 1e-5f, q);
    PackedMatrix w = device(hostMatrix(columns, k, floats(columns * k)));
    Tensor bias = device(1, columns, 0, floats(columns));
    Tensor together = device(n, columns, 0, new float[n * columns]);
    cuda.matmul(q, w, bias, together, Store.SET);
    for (int size : new int[] {1, 16, 40, 64, 129}) {
      Tensor apart = device(n, columns, 0, new float[n * columns]);
      for (int from = 0; from < n; from += size) {
        int to = Math.min(n, from + size);
        cuda.matmul(q.rows(from, to), w, bias, apart.rows(from, to), Store.SET);
      }
      assertThat(read(apart)).as("by %d", size).isEqualTo(read(together));
    }
  }

  @Test
  void rmsNormAndQuantizeRoundTheReference() {
    for (int[] s : new int[][] {{1, 16}, {3, 576}, {5, 4112}}) {
      Tensor x = host(s[0], s[1], 8, floats(s[0] * s[1]));
      Tensor weight = host(1, s[1], 0, floats(s[1]));
      Tensor want = hostResult(s[0], s[1]);
      reference.rmsNorm(x, weight, 1e-5f, Activations.f32(want.storage(), s[0], s[1]));
      Activations out = operand(s[0], s[1]);
      cuda.rmsNorm(device(x), device(weight), 1e-5f, out);
      assertRounded(read(out.q()), values(want));
      cuda.quantize(device(x), out);
      assertThat(read(out.q())).isEqualTo(rounded(values(x)));
    }
  }

  @Test
  void headNormTouchesItsColumnsAlone() {
    for (int d : new int[] {16, 80, 128}) {
      int n = 7;
      float[] values = floats(n * 5 * d);
      Tensor x = host(n, 5 * d, 0, values);
      Tensor weight = host(1, d, 0, floats(d));
      Tensor got = device(x);
      cuda.headNorm(got.columns(d, 4 * d), d, device(weight), 1e-6f);
      reference.headNorm(x.columns(d, 4 * d), d, weight, 1e-6f);
      assertThat(distance(read(got), values(x))).isLessThan(ORDER);
      assertThat(read(got.columns(4 * d, 5 * d))).isEqualTo(values(x.columns(4 * d, 5 * d)));
    }
  }

  @Test
  void swiGluRoundsTheReference() {
    for (int[] s : new int[][] {{1, 32}, {4, 96}, {3, 2080}}) {
      Tensor x = host(s[0], 2 * s[1], 4, floats(s[0] * 2 * s[1]));
      x.setF32(0, 0, -120);
      x.setF32(0, 1, 120);
      Tensor want = hostResult(s[0], s[1]);
      reference.swiGlu(x, Activations.f32(want.storage(), s[0], s[1]));
      Activations out = operand(s[0], s[1]);
      cuda.swiGlu(device(x), out);
      assertRounded(read(out.q()), values(want));
    }
  }

  @Test
  void embedAndGatherTakeTheRowsThatAreNamed() {
    int[] ids = {76, 0, 3, 3, 9, 41};
    for (int columns : new int[] {16, 112, 1040}) {
      float[] rows = rounded(floats(77 * columns));
      PackedMatrix table = hostMatrix(77, columns, rows);
      Tensor want = hostResult(5, columns);
      reference.embed(table, ids, 5, want);
      Tensor out = device(5, columns, 4, new float[5 * columns]);
      cuda.embed(device(table), ids, 5, out);
      assertThat(read(out)).isEqualTo(values(want));
      Tensor gathered = device(5, columns, 1, new float[5 * columns]);
      cuda.gatherRows(device(77, columns, 3, rows), ids, 5, gathered);
      assertThat(read(gathered)).isEqualTo(values(want));
    }
  }

  @Test
  void argmaxIsTheReferences() {
    for (int columns : new int[] {1, 17, 5000}) {
      int n = 40;
      float[] x = new float[n * columns];
      for (int i = 0; i < x.length; i++) {
        int kind = i / columns % 4;
        x[i] =
            kind == 0
                ? random.nextInt(3)
                : kind == 1 || random.nextBoolean() ? Float.NaN : -random.nextInt(kind);
      }
      Tensor logits = host(n, columns, 1, x);
      int[] want = new int[n];
      int[] got = new int[n];
      reference.argmax(logits, want);
      cuda.argmax(device(logits), got);
      assertThat(got).as("[%d,%d]", n, columns).isEqualTo(want);
      assertThat(want).contains(-1);
    }
  }

  @Test
  void resultsInHostMemoryAreThereWhenTheCallReturns() {
    int[] ids = {1, 0};
    float[] rows = rounded(floats(2 * 32));
    Storage s = gpu.allocateHost(2 * 32 * 4);
    Tensor out = Tensor.of(s, DType.F32, 2, 32);
    cuda.embed(device(hostMatrix(2, 32, rows)), ids, 2, out);
    assertThat(values(out.rows(1, 2))).isEqualTo(Arrays.copyOf(rows, 32));
    s.close();
  }

  @Test
  void whatTheKernelsCannotDoIsRefusedWithTheFormWanted() {
    Activations q = operand(2, 32);
    Tensor out = device(2, 4, 0, new float[8]);
    PackedMatrix f32 = new PackedMatrix(gpu.allocate(512), 0, PackedMatrix.Form.F32, 4, 32);
    assertThatThrownBy(() -> cuda.matmul(q, f32, null, out, Store.SET))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("weights F32 [4,32]")
        .hasMessageContaining("BF16");
    Tensor x = device(2, 32, 3, new float[64]);
    assertThatThrownBy(() -> cuda.quantize(x, q))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("rows of 140 bytes")
        .hasMessageContaining("multiples of 16 bytes");
    Activations odd = operand(2, 8);
    assertThatThrownBy(() -> cuda.quantize(device(2, 8, 0, new float[16]), odd))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("[2,8]")
        .hasMessageContaining("multiple of 16 columns");
  }

  @Test
  void theChoiceOfProductsIsReadAndNeverSilentlyAnother() {
    assertThat(CudaProducts.Choice.of(null)).isEqualTo(CudaProducts.Choice.OWN);
    assertThat(CudaProducts.Choice.of("auto")).isEqualTo(CudaProducts.Choice.AUTO);
    assertThatThrownBy(() -> CudaProducts.Choice.of("cublas"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("option shadowbatch.cuda.gemm is 'cublas', expected own, cublaslt or auto");
    String[] why = new String[1];
    try (CudaBlas blas = CudaBlas.open(gpu, why)) {
      Assumptions.assumeTrue(blas == null, "cuBLASLt is there: nothing to refuse");
    }
    assertThatThrownBy(() -> new CudaProducts(gpu, CudaProducts.Choice.CUBLASLT))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("option shadowbatch.cuda.gemm is cublaslt")
        .hasMessageContaining("SHADOWBATCH_CUBLASLT");
    try (CudaDense auto = new CudaDense(gpu, CudaProducts.Choice.AUTO)) {
      Activations q = operand(65, 16);
      Tensor out = device(65, 1, 0, new float[65]);
      auto.quantize(device(65, 16, 0, floats(65 * 16)), q);
      PackedMatrix w = device(hostMatrix(1, 16, rounded(floats(16))));
      auto.matmul(q, w, null, out, Store.SET);
      float[] got = read(out);
      cuda.matmul(q, w, null, out, Store.SET);
      assertThat(got).isEqualTo(read(out));
    }
  }
}
