package io.shadowbatch.kv;

import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Tensor;

/**
 * Holds the keys and values of sequences and attends to them: the seam behind which they may be
 * paged, compressed, moved or dropped. Knows a sequence only by its number.
 *
 * <p>Used by one thread. Calls with a sequence that never reserved are {@link
 * IllegalStateException}.
 */
public interface KvStore extends AutoCloseable {

  /**
   * Makes room for positions [0, tokens) of a sequence. All or nothing: false leaves the sequence
   * as it was, and the caller waits or preempts.
   */
  boolean reserve(int sequence, int tokens);

  /**
   * Stores the batch's keys and values, then attends from every row to its sequence up to its own
   * position.
   *
   * @param q [n, queryHeads * headDim] before RoPE
   * @param k [n, kvHeads * headDim] before RoPE
   * @param v [n, kvHeads * headDim]
   * @param out [n, queryHeads * headDim]
   */
  void attend(int layer, Tensor q, Tensor k, Tensor v, TokenBatch batch, Tensor out);

  /**
   * The prompt, the first {@code tokens} tokens of a sequence, is complete and may be approximated
   * for the rows behind it: the store may compress, move or drop what it holds of it. A sequence
   * that is never sealed is read exactly.
   */
  void seal(int sequence, int tokens);

  /** Positions [from, to) of a sequence as something that others can attach; from is at a page. */
  KvSpan share(int sequence, int from, int to);

  /**
   * Gives a sequence the tokens of a span at position {@code at}, in place of computing them. Whole
   * pages are shared. A page of which the span has only a part is copied, and takes a free page.
   *
   * @return false if no page was free for that copy; the sequence is as it was
   */
  boolean attach(int sequence, KvSpan span, int at);

  /** Gives back all that a sequence holds. */
  void release(int sequence);

  /**
   * Gives memory that nobody holds back to the backend, and holds less from here on.
   *
   * @return pages given back
   */
  int shrink();

  /** Memory in use. */
  KvUsage usage();

  /** What was read sparsely so far. */
  KvTraffic traffic();

  @Override
  void close();
}
