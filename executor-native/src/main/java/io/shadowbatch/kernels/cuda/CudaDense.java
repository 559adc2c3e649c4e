package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels.Store;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.Shapes;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteOrder;

/**
 * Embedding, norms, products and what lies between them: {@code elementwise.cu}, {@code norm.cu},
 * {@code matmul.cu}, {@code argmax.cu}. Left operands of products and weights are BF16, all else is
 * F32; {@code quantize} rounds to the nearest BF16. Kernels move 16 bytes at a time, so rows start
 * at multiples of that, but for those of logits and of gathered rows.
 */
final class CudaDense implements AutoCloseable {
  /** Columns that a block of the elementwise kernels does. */
  private static final int PIECE = 2048;

  private final Gpu gpu;
  private final CudaProducts products;
  private Storage picked;

  CudaDense(Gpu gpu) {
    this(gpu, CudaProducts.Choice.of(System.getProperty(CudaProducts.OPTION)));
  }

  CudaDense(Gpu gpu, CudaProducts.Choice choice) {
    this.gpu = gpu;
    this.products = new CudaProducts(gpu, choice);
  }

  void embed(PackedMatrix table, int[] ids, int count, Tensor out) {
    Shapes.embed(table, ids, count, out);
    requireWeights("embed", table);
    requireRows("embed", out);
    long uploaded = gpu.upload(ids, count);
    Params p = gpu.params().address(table.address()).address(uploaded).address(out.address());
    p.i32(table.columns()).i32(out.rowStride());
    gpu.launch("sb_embed", count, 1, 1, 128, 0, p);
    finish(out);
  }

  void rmsNorm(Tensor x, Tensor weight, float eps, Activations out) {
    Shapes.norm(x, weight, x.columns(), out);
    requireRows("rmsNorm", x);
    requireRows("rmsNorm", weight);
    requireOperand("rmsNorm", out);
    Params p = gpu.params().address(x.address()).address(weight.address());
    p.address(out.q().address()).i32(x.columns()).i32(x.rowStride());
    p.i32(out.q().rowStride()).f32(eps);
    gpu.launch("sb_rms_norm", x.rows(), 1, 1, 256, 0, p);
    finish(out.q());
  }

  void headNorm(Tensor x, int headDim, Tensor weight, float eps) {
    Shapes.headNorm(x, headDim, weight);
    requireRows("headNorm", x);
    requireRows("headNorm", weight);
    int heads = x.columns() / headDim;
    Params p = gpu.params().address(x.address()).address(weight.address());
    p.i32(x.rows()).i32(heads).i32(headDim).i32(x.rowStride()).f32(eps);
    gpu.launch("sb_head_norm", tiles((long) x.rows() * heads, 8), 1, 1, 256, 0, p);
    finish(x);
  }

  void quantize(Tensor x, Activations out) {
    Shapes.quantize(x, out);
    requireRows("quantize", x);
    requireOperand("quantize", out);
    Params p = gpu.params().address(x.address()).address(out.q().address());
    p.i32(x.columns()).i32(x.rowStride()).i32(out.q().rowStride());
    gpu.launch("sb_quantize", x.rows(), tiles(x.columns(), PIECE), 1, 256, 0, p);
    finish(out.q());
  }

  void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    Shapes.matmul(x, w, bias, out);
    requireWeights("matmul", w);
    requireOperand("matmul", x);
    products.multiply(x, w, bias, out, store);
    finish(out);
  }

  void swiGlu(Tensor gateUp, Activations out) {
    Shapes.swiGlu(gateUp, out);
    requireRows("swiGlu", gateUp);
    requireOperand("swiGlu", out);
    int width = gateUp.columns() / 2;
    Params p = gpu.params().address(gateUp.address()).address(out.q().address());
    p.i32(width).i32(gateUp.rowStride()).i32(out.q().rowStride());
    gpu.launch("sb_swiglu", gateUp.rows(), tiles(width, PIECE), 1, 256, 0, p);
    finish(out.q());
  }

  void gatherRows(Tensor x, int[] rows, int count, Tensor out) {
    Shapes.gather(x, rows, count, out);
    long uploaded = gpu.upload(rows, count);
    Params p = gpu.params().address(x.address()).address(uploaded).address(out.address());
    p.i32(x.columns()).i32(x.rowStride()).i32(out.rowStride());
    gpu.launch("sb_gather", count, 1, 1, 256, 0, p);
    finish(out);
  }

  /** The kernel writes to pinned host memory: a few numbers, there when the stream is done. */
  void argmax(Tensor logits, int[] ids) {
    Shapes.argmax(logits, ids);
    int n = logits.rows();
    if (picked == null || picked.byteSize() < 4L * n) {
      if (picked != null) picked.close();
      picked = gpu.allocateHost(4L * Math.max(n, 1024));
    }
    Params p = gpu.params().address(logits.address()).address(picked.address());
    p.i64(logits.rowStride()).i32(logits.columns());
    gpu.launch("sb_argmax", n, 1, 1, 1024, 0, p);
    gpu.sync();
    picked.bytes().order(ByteOrder.nativeOrder()).asIntBuffer().get(0, ids, 0, n);
  }

  static int tiles(long size, int tile) {
    return Math.toIntExact((size + tile - 1) / tile);
  }

  /** Results in host memory are there when the call returns. */
  private void finish(Tensor out) {
    if (out.storage().bytes() != null) gpu.sync();
  }

  private static void requireWeights(String op, PackedMatrix w) {
    if (w.form() != PackedMatrix.Form.BF16 || w.columns() % 16 != 0) {
      throw new IllegalArgumentException(
          "%s: weights %s [%d,%d]; on CUDA they are BF16 with a multiple of 16 columns"
              .formatted(op, w.form(), w.rows(), w.columns()));
    }
  }

  private static void requireOperand(String op, Activations a) {
    if (a.q().dtype() != DType.BF16 || a.columns() % 16 != 0) {
      throw new IllegalArgumentException(
          "%s: activations %s [%d,%d]; on CUDA they are BF16 with a multiple of 16 columns"
              .formatted(op, a.q().dtype(), a.rows(), a.columns()));
    }
    requireRows(op, a.q());
  }

  private static void requireRows(String op, Tensor t) {
    long stride = (long) t.rowStride() * t.dtype().bytes();
    if ((t.address() | stride) % 16 != 0) {
      throw new IllegalArgumentException(
          "%s: %s rows of %d bytes at address %x; on CUDA rows start at multiples of 16 bytes"
              .formatted(op, t.dtype(), stride, t.address()));
    }
  }

  /** Before the device is closed. */
  @Override
  public void close() {
    products.close();
    if (picked != null) picked.close();
  }
}
