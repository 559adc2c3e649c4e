package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;

/**
 * The operations of a backend: stateless, in order, on tensors that the backend's own {@link
 * #allocate} or {@link #map} made. Shapes are checked here and nowhere below.
 *
 * <p>{@link ReferenceKernels} is the definition: all backends that run on a CPU give its bits, for
 * every row, whatever other rows are in the call (docs/decisions/0002-same-bits.md). All float
 * tensors are F32. Errors are {@link IllegalArgumentException} with actual and expected shapes.
 */
public interface Kernels extends AutoCloseable {

  /** What a product does with its result. */
  enum Store {
    /** out = x * w (+ bias). */
    SET,
    /** out = out + (x * w (+ bias)). */
    ADD
  }

  /** Backend, instruction set and threads, in words for a log line. */
  String describe();

  /** Zeroed memory, aligned to 64 bytes. */
  Storage allocate(long bytes);

  /** Maps bytes [offset, offset + length) of a file read-only; offset is a multiple of 4096. */
  Storage map(Path file, long offset, long length) throws IOException;

  /** Room for {@code rows x columns} activations in the form that this backend multiplies. */
  Activations activations(Storage storage, int rows, int columns);

  /** Bytes that {@link #activations} needs. */
  long activationBytes(int rows, int columns);

  /** out[i] = row ids[i] of the table, for i in [0, count). out [count.., table.columns]. */
  void embed(PackedMatrix table, int[] ids, int count, Tensor out);

  /**
   * Root-mean-square norm of each row, then quantised: out = x / sqrt(mean(x^2) + eps) * weight.
   *
   * @param x [n, d], d a multiple of 16
   * @param weight [1, d]
   * @param out n rows of d
   */
  void rmsNorm(Tensor x, Tensor weight, float eps, Activations out);

  /** The same norm over each head of x [n, heads * headDim], in place; weight [1, headDim]. */
  void headNorm(Tensor x, int headDim, Tensor weight, float eps);

  /** Quantises x [n, d] in groups of 32. */
  void quantize(Tensor x, Activations out);

  /** out [n, w.rows] = x [n, w.columns] times w transposed, plus bias [1, w.rows] unless null. */
  void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store);

  /** out = silu(gateUp[:, 0..f)) * gateUp[:, f..2f), quantised; gateUp [n, 2f], f % 32 = 0. */
  void swiGlu(Tensor gateUp, Activations out);

  /** out[i] = x[rows[i]] for i in [0, count). */
  void gatherRows(Tensor x, int[] rows, int count, Tensor out);

  /**
   * Writes keys and values of the batch's rows into the pages of their slices, at their positions.
   * Keys are roped (and rotated) here.
   *
   * @param k [n, kvHeads * headDim] before RoPE
   * @param v [n, kvHeads * headDim]
   */
  void append(
      AttentionShape shape,
      int layer,
      Tensor k,
      Tensor v,
      TokenBatch batch,
      KvView view,
      RopeTable rope);

  /**
   * Causal attention of each row over its slice's segments; the rows' own keys must have been
   * appended. Keys are walked in tiles of 64 aligned positions, left to right, carrying the online
   * softmax (Milakov and Gimelshein 2018, algorithm 3; Dao et al. 2022).
   *
   * @param q [n, queryHeads * headDim] before RoPE
   * @param out [n, queryHeads * headDim]
   * @param state [n, 2 * queryHeads], largest score and sum of exponentials of each head, from
   *     which partial results can be merged; or null
   */
  void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor out,
      Tensor state);

  /**
   * ids[i] = column of the largest of logits[i], the lowest on a tie, or -1 if the row holds no
   * number that compares (all NaN).
   */
  void argmax(Tensor logits, int[] ids);

  @Override
  void close();
}
