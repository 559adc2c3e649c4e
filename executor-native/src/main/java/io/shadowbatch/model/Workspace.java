package io.shadowbatch.model;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.List;

/**
 * The buffers between the operations of a forward pass, allocated once for the most rows of a step.
 *
 * @param hidden [rows, hidden] residual stream
 * @param qkv [rows, (queryHeads + 2 * kvHeads) * headDim]
 * @param mixed [rows, queryHeads * headDim] what attention gives
 * @param gateUp [rows, 2 * feedForward]
 * @param last [rows, hidden] the rows whose logits are wanted
 * @param logits [a part of the rows, vocabulary]
 * @param normed rows of hidden
 * @param heads rows of queryHeads * headDim
 * @param gated rows of feedForward
 * @param lastNormed rows of hidden
 */
record Workspace(
    Tensor hidden,
    Tensor qkv,
    Tensor mixed,
    Tensor gateUp,
    Tensor last,
    Tensor logits,
    Activations normed,
    Activations heads,
    Activations gated,
    Activations lastNormed)
    implements AutoCloseable {
  /** Logits are large: they are computed for so many rows at a time. */
  private static final int LOGIT_ROWS = 64;

  Workspace(Kernels kernels, ModelSpec spec, int rows) {
    this(
        floats(kernels, rows, spec.hidden()),
        floats(kernels, rows, (spec.queryHeads() + 2 * spec.kvHeads()) * spec.headDim()),
        floats(kernels, rows, spec.queryHeads() * spec.headDim()),
        floats(kernels, rows, 2 * spec.feedForward()),
        floats(kernels, rows, spec.hidden()),
        floats(kernels, Math.min(rows, LOGIT_ROWS), spec.vocabulary()),
        activations(kernels, rows, spec.hidden()),
        activations(kernels, rows, spec.queryHeads() * spec.headDim()),
        activations(kernels, rows, spec.feedForward()),
        activations(kernels, rows, spec.hidden()));
  }

  /** Bytes of all of them with activations in the integer form. */
  static long byteSize(ModelSpec spec, int rows) {
    long floats = 2L * spec.hidden() + 2L * spec.feedForward();
    floats += 2L * spec.queryWidth() + 2L * spec.kvWidth();
    long logits = 4L * Math.min(rows, LOGIT_ROWS) * spec.vocabulary();
    return 4L * rows * floats
        + logits
        + 2 * Activations.byteSize(rows, spec.hidden())
        + Activations.byteSize(rows, spec.queryWidth())
        + Activations.byteSize(rows, spec.feedForward());
  }

  @Override
  public void close() {
    for (Tensor t : List.of(hidden, qkv, mixed, gateUp, last, logits)) t.storage().close();
    for (Activations a : List.of(normed, heads, gated, lastNormed)) a.q().storage().close();
  }

  private static Tensor floats(Kernels kernels, int rows, int columns) {
    return Tensor.of(kernels.allocate(4L * rows * columns), DType.F32, rows, columns);
  }

  private static Activations activations(Kernels kernels, int rows, int columns) {
    return kernels.activations(
        kernels.allocate(kernels.activationBytes(rows, columns)), rows, columns);
  }
}
