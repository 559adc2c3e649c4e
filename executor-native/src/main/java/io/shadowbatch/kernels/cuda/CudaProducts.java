package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels.Store;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.tensor.Tensor;
import java.util.Locale;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Products with weights, by our own kernels or by cuBLASLt. All forms of our kernels give a row the
 * same bits, so the form follows the number of rows alone; cuBLASLt is faster for many rows, and
 * gives up that.
 */
final class CudaProducts implements AutoCloseable {
  /** System property: a {@link Choice} in lower case. */
  static final String OPTION = "shadowbatch.cuda.gemm";

  private static final Logger LOG = LoggerFactory.getLogger(CudaProducts.class);

  /** Who multiplies. */
  enum Choice {
    /** Our kernels. */
    OWN,
    /** cuBLASLt, or an error if there is none. */
    CUBLASLT,
    /** cuBLASLt for more than 64 rows if it is there, else our kernels. */
    AUTO;

    /**
     * Reads the option.
     *
     * @param text null for the default
     */
    static Choice of(String text) {
      if (text == null) return OWN;
      for (Choice choice : values()) {
        if (choice.name().toLowerCase(Locale.ROOT).equals(text)) return choice;
      }
      throw new IllegalArgumentException(
          "option %s is '%s', expected own, cublaslt or auto".formatted(OPTION, text));
    }
  }

  /**
   * A form of {@code matmul.cu}.
   *
   * @param tall rows of a block's tile
   * @param wide columns of a block's tile
   */
  private record Form(String kernel, int tall, int wide, int threads, int sharedBytes) {}

  private static final Form FEW = new Form("sb_matmul_16", 16, 32, 64, 8 * 6144);
  private static final Form SOME = new Form("sb_matmul_64", 64, 64, 128, 6 * 16384);
  private static final Form MANY = new Form("sb_matmul_128", 128, 128, 128, 3 * 16384);

  private final Gpu gpu;
  private final CudaBlas blas;

  /** Fewest rows that cuBLASLt gets. */
  private final int blasRows;

  /**
   * @throws IllegalStateException if cuBLASLt is asked for and cannot be opened, with what was
   *     tried
   */
  CudaProducts(Gpu gpu, Choice choice) {
    this.gpu = gpu;
    this.blas = choice == Choice.OWN ? null : open(gpu, choice);
    this.blasRows = choice == Choice.AUTO ? SOME.tall + 1 : 1;
  }

  private static CudaBlas open(Gpu gpu, Choice choice) {
    String[] why = new String[1];
    CudaBlas blas = CudaBlas.open(gpu, why);
    if (blas != null) {
      LOG.info("products by {}", blas.describe());
    } else if (choice == Choice.AUTO) {
      LOG.info("products by our own kernels, cuBLASLt is not there: {}", why[0]);
    } else {
      throw new IllegalStateException(
          ("option %s is cublaslt, but it cannot be opened: %s; set %s to its file,"
                  + " or the option to own")
              .formatted(OPTION, why[0], CudaLibraries.CUBLASLT.variable()));
    }
    return blas;
  }

  /** out = or += x times w transposed, plus bias; shapes and forms have been checked. */
  void multiply(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    int n = out.rows();
    if (n == 0) return;
    if (blas != null && n >= blasRows) {
      blas.multiply(x, w, bias, out, store);
      return;
    }
    Form form = n <= FEW.tall ? FEW : n <= SOME.tall ? SOME : MANY;
    Params p = gpu.params().address(x.q().address()).address(w.address());
    p.address(bias == null ? 0 : bias.address()).address(out.address());
    p.i32(n).i32(w.rows()).i32(w.columns()).i32(x.q().rowStride()).i32(out.rowStride());
    p.i32(store == Store.ADD ? 1 : 0);
    gpu.launch(
        form.kernel,
        CudaDense.tiles(n, form.tall),
        CudaDense.tiles(w.rows(), form.wide),
        1,
        form.threads,
        form.sharedBytes,
        p);
  }

  @Override
  public void close() {
    if (blas != null) blas.close();
  }
}
