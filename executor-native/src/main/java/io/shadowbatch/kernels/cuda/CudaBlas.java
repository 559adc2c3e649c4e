package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels.Store;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Products by cuBLASLt, planned once for each shape. Which of its algorithms runs depends on the
 * number of rows, and with it the order of sums: a row's last bits follow its company.
 */
final class CudaBlas implements AutoCloseable {
  /** What cuBLASLt gets for sums in parts; NVIDIA's advice for Hopper. */
  private static final long WORKSPACE_BYTES = 32 << 20;

  /** Numbers of rows vary from step to step; the longest unused plan goes. */
  private static final int PLANS_MAX = 512;

  // cudaDataType and cublasLtEpilogue_t.
  private static final int F32 = 0;
  private static final int BF16 = 14;
  private static final int PLAIN = 1;
  private static final int BIAS = 4;

  private record Shape(int n, int rows, int k, int xStride, int outStride, boolean bias) {}

  private final Gpu gpu;
  private final long handle;
  private final Storage workspace;
  private final Map<Shape, Long> plans = new LinkedHashMap<>(64, 0.75f, true);

  private CudaBlas(Gpu gpu, long handle) {
    this.gpu = gpu;
    this.handle = handle;
    this.workspace = gpu.allocate(WORKSPACE_BYTES);
  }

  /**
   * Opens the library of this machine.
   *
   * @param why gets the reason in its first place if the result is null
   */
  static CudaBlas open(Gpu gpu, String[] why) {
    gpu.enter();
    long handle = GpuNative.openBlas(CudaLibraries.CUBLASLT.candidates(), why);
    return handle == 0 ? null : new CudaBlas(gpu, handle);
  }

  String describe() {
    return GpuNative.describeBlas(handle);
  }

  /** out = or += x times w transposed, plus bias. */
  void multiply(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    Shape shape =
        new Shape(
            out.rows(), w.rows(), w.columns(), x.q().rowStride(), out.rowStride(), bias != null);
    Long plan = plans.get(shape);
    if (plan == null) {
      if (plans.size() == PLANS_MAX) forgetOne();
      plan = plan(shape);
      plans.put(shape, plan);
    }
    long[] addresses = {
      w.address(),
      x.q().address(),
      out.address(),
      bias == null ? 0 : bias.address(),
      workspace.address(),
      WORKSPACE_BYTES
    };
    gpu.multiply(plan, addresses, store == Store.ADD ? 1f : 0f);
  }

  /** Row-major out = x w^T is column-major out^T = w x^T: w is A, to be transposed, and x is B. */
  private long plan(Shape s) {
    gpu.enter();
    long[] shape = {
      BF16,
      BF16,
      F32,
      1,
      0,
      s.rows,
      s.n,
      s.k,
      s.k,
      s.xStride,
      s.outStride,
      s.bias ? BIAS : PLAIN,
      WORKSPACE_BYTES,
      1
    };
    String[] why = new String[1];
    long plan = GpuNative.plan(handle, shape, new int[1], why);
    if (plan == 0) {
      throw new IllegalStateException(
          "cuda: no product %s: %s; use -D%s=own".formatted(s, why[0], CudaProducts.OPTION));
    }
    return plan;
  }

  private void forgetOne() {
    // What is queued was given all it needs when it was queued.
    Iterator<Long> oldest = plans.values().iterator();
    GpuNative.closePlan(oldest.next());
    oldest.remove();
  }

  @Override
  public void close() {
    plans.values().forEach(GpuNative::closePlan);
    plans.clear();
    workspace.close();
    GpuNative.closeBlas(handle);
  }
}
