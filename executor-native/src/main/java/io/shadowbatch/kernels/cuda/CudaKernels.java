package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.DeviceLostException;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.LowRankKernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Shapes;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * The kernels on an NVIDIA GPU: weights and left operands in bfloat16, sums in floats, keys and
 * values as half floats. Results are those of {@link io.shadowbatch.kernels.ReferenceKernels} up to
 * rounding; a row's result does not depend on the other rows of a call.
 *
 * <p>Operations are queued in order and have finished when their results lie in host memory. Any
 * thread may call, one at a time. Memory that is short is an {@link OutOfMemoryError}; after a
 * {@link DeviceLostException} all calls fail.
 */
public final class CudaKernels implements Kernels {
  private final Gpu gpu;
  private final CudaDense dense;
  private final CudaAttention attention;
  private final CudaChunks chunks;
  private final CudaLowRank lowRank;
  private final CudaTopLogits topLogits;

  private CudaKernels(Gpu gpu) {
    this.gpu = gpu;
    dense = new CudaDense(gpu);
    attention = new CudaAttention(gpu);
    chunks = new CudaChunks(gpu);
    lowRank = new CudaLowRank(gpu);
    topLogits = new CudaTopLogits(gpu);
  }

  /**
   * @param device its number, from 0
   * @throws UnsatisfiedLinkError if this machine has no driver
   * @throws IllegalStateException if there is no such device or it cannot run the kernels
   */
  public static CudaKernels open(int device) {
    Gpu gpu = Gpu.open(device);
    try {
      return new CudaKernels(gpu);
    } catch (RuntimeException | Error e) {
      gpu.close();
      throw e;
    }
  }

  @Override
  public String describe() {
    return "cuda (%s)".formatted(gpu.info());
  }

  @Override
  public Storage allocate(long bytes) {
    return gpu.allocate(bytes);
  }

  @Override
  public Storage allocateHost(long bytes) {
    return gpu.allocateHost(bytes);
  }

  @Override
  public void copy(Tensor from, Tensor to) {
    Shapes.copy(from, to);
    long row = (long) from.columns() * from.dtype().bytes();
    if (isDense(from) && isDense(to)) {
      gpu.copy(from.address(), to.address(), from.rows() * row);
    } else {
      for (int i = 0; i < from.rows(); i++) gpu.copy(rowAddress(from, i), rowAddress(to, i), row);
    }
    if (to.storage().bytes() != null) gpu.sync();
  }

  private static boolean isDense(Tensor t) {
    return t.rowStride() == t.columns() || t.rows() == 1;
  }

  private static long rowAddress(Tensor t, int row) {
    return t.storage().address() + t.at(row, 0);
  }

  @Override
  public void finish() {
    gpu.sync();
  }

  @Override
  public PackedMatrix.Form weightForm() {
    return PackedMatrix.Form.BF16;
  }

  @Override
  public Storage map(Path file, long offset, long length) {
    throw new UnsupportedOperationException(
        "map: %s: weights are uploaded to the GPU, not mapped".formatted(file));
  }

  @Override
  public Storage spill(Path folder, long bytes) throws IOException {
    throw new IOException(
        "spill: %s: memory behind the GPU's is pinned host memory, not files; leave out the folder"
            .formatted(folder));
  }

  @Override
  public Activations activations(Storage storage, int rows, int columns) {
    return Activations.bf16(storage, rows, columns);
  }

  @Override
  public long activationBytes(int rows, int columns) {
    return 2L * rows * columns;
  }

  @Override
  public void embed(PackedMatrix table, int[] ids, int count, Tensor out) {
    dense.embed(table, ids, count, out);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, float eps, Activations out) {
    dense.rmsNorm(x, weight, eps, out);
  }

  @Override
  public void headNorm(Tensor x, int headDim, Tensor weight, float eps) {
    dense.headNorm(x, headDim, weight, eps);
  }

  @Override
  public void quantize(Tensor x, Activations out) {
    dense.quantize(x, out);
  }

  @Override
  public void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    dense.matmul(x, w, bias, out, store);
  }

  @Override
  public void swiGlu(Tensor gateUp, Activations out) {
    dense.swiGlu(gateUp, out);
  }

  @Override
  public void gatherRows(Tensor x, int[] rows, int count, Tensor out) {
    dense.gatherRows(x, rows, count, out);
  }

  @Override
  public void argmax(Tensor logits, int[] ids) {
    dense.argmax(logits, ids);
  }

  @Override
  public List<TopLogits> topLogits(Tensor logits, List<LogitQuery> queries) {
    return topLogits.answer(logits, queries);
  }

  @Override
  public void append(
      AttentionShape shape,
      int layer,
      Tensor k,
      Tensor v,
      TokenBatch batch,
      KvView view,
      RopeTable rope) {
    attention.append(shape, layer, k, v, batch, view, rope);
  }

  @Override
  public void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor out,
      Tensor state) {
    attention.attend(shape, layer, q, batch, view, rope, out, state);
  }

  @Override
  public void attentionMass(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor state,
      Tensor mass) {
    attention.attentionMass(shape, layer, q, batch, view, rope, state, mass);
  }

  @Override
  public void summarise(KvLayout layout, int chunkTokens, Tensor[] keys, Tensor[] landmarks) {
    chunks.summarise(layout, chunkTokens, keys, landmarks);
  }

  @Override
  public void selectChunks(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      ChunkView view,
      RopeTable rope,
      ChunkPicks picks) {
    chunks.selectChunks(shape, layer, q, batch, view, rope, picks);
  }

  @Override
  public LowRankKernels lowRank() {
    return lowRank;
  }

  @Override
  public void close() {
    dense.close();
    topLogits.close();
    gpu.close();
  }
}
