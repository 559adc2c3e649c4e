package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

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

  /**
   * Zeroed memory of the host that kernels read and write in place, {@link Storage#bytes} not null.
   * An operation whose results lie in such memory has finished when it returns; one whose results
   * lie in memory of {@link #allocate} may only have been queued.
   */
  default Storage allocateHost(long bytes) {
    return allocate(bytes);
  }

  /**
   * Copies all elements, between any two storages of this backend. Both tensors have one shape and
   * type; their rows may lie at different strides.
   */
  default void copy(Tensor from, Tensor to) {
    Shapes.copy(from, to);
    int bytes = from.columns() * from.dtype().bytes();
    for (int row = 0; row < from.rows(); row++) {
      int source = (int) from.at(row, 0);
      to.storage().bytes().put((int) to.at(row, 0), from.storage().bytes(), source, bytes);
    }
  }

  /** Waits until all that was queued is done. */
  void finish();

  /** The form in which this backend multiplies weights. */
  default PackedMatrix.Form weightForm() {
    return PackedMatrix.Form.U8_GROUP32;
  }

  /** Maps bytes [offset, offset + length) of a file read-only; offset is a multiple of 4096. */
  Storage map(Path file, long offset, long length) throws IOException;

  /**
   * Zeroed memory that the system may write out to a file of the folder. The file has no name once
   * this returns, and its bytes are the disk's until the memory is garbage.
   *
   * @throws IOException if the folder has no room for all of it
   */
  Storage spill(Path folder, long bytes) throws IOException;

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
   * <p>A slice may have a picked segment before its dense one. Its picked chunks are gathered, in
   * their order, into tiles of 64 tokens, the last perhaps part full, which go first: with all
   * chunks picked the result has the bits of the dense segments alone (on a GPU if the picked part
   * is a multiple of 512 tokens, which its sums are split at). No windows then.
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
   * Landmarks of whole pages, of all layers and KV heads: the mean of each chunk's keys as they are
   * stored (roped, and rotated by the INT8 codec), and its likeness, the least cosine between that
   * mean, before it is rounded, and a key of the chunk. Sums over tokens are trees of distance
   * chunkTokens / 2, .., 1; sums over dimensions chains of fused multiply-adds from 0 on. Means
   * beyond the halves become the largest half.
   *
   * @param keys the key halves of the pages
   * @param landmarks U8 [1, pageBytes] each, see {@link LandmarkLayout}
   */
  void summarise(KvLayout layout, int chunkTokens, Tensor[] keys, Tensor[] landmarks);

  /**
   * Picks the chunks that each row of a picked slice reads (ShadowKV, Sun et al. 2025, section 3,
   * with scores in floats). Of all chunks but the exact ones, z[j][c] is the product of query head
   * j of the KV head's group and the landmark, a chain of fused multiply-adds over the dimensions;
   * score[c] = max over j of z[j][c] - log(sum over c of exp z[j][c]), or z for a single head. The
   * picks are the exact chunks and the {@code budgetChunks} with the largest scores, of equals the
   * lowest, ascending. What is not a number counts as -infinity.
   *
   * @param q [n, queryHeads * headDim] before RoPE
   * @param picks gets the rows of the slices that have chunks
   */
  void selectChunks(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      ChunkView chunks,
      RopeTable rope,
      ChunkPicks picks);

  /**
   * Adds to {@code mass} the weight that attention gives each position: exp(score - max) * (1 /
   * sum) of every row of the slice, ascending, and every query head of the KV head's group.
   *
   * @param view all slices dense
   * @param q as {@link #attend} got it
   * @param state as {@link #attend} wrote it
   * @param mass F32 [slices * kvHeads, at least the longest slice]
   */
  void attentionMass(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor state,
      Tensor mass);

  /**
   * ids[i] = column of the largest of logits[i], the lowest on a tie, or -1 if the row holds no
   * number that compares (all NaN).
   */
  void argmax(Tensor logits, int[] ids);

  /**
   * Answers to queries about rows of logits, so that whoever chooses tokens need not read all of
   * them: one for each query, or none at all where the host reads logits in place and gains
   * nothing. The largest logits are exact, as the queries' edits are.
   *
   * @param logits [n, vocabulary], as before when this returns
   * @param queries by rising row, at most one of each
   */
  default List<TopLogits> topLogits(Tensor logits, List<LogitQuery> queries) {
    Shapes.topLogits(logits, queries);
    return List.of();
  }

  /** The operations on keys of low rank. */
  LowRankKernels lowRank();

  @Override
  void close();
}
