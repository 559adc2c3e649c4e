package io.shadowbatch.model;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.Kernels.Store;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.tensor.Tensor;

/**
 * The forward pass of a decoder-only transformer, the same for every family: what differs is data
 * in {@link ModelSpec}. Allocates nothing after construction. Used by one thread.
 */
public final class Decoder implements AutoCloseable {
  private final Kernels kernels;
  private final ModelSpec spec;
  private final DecoderWeights weights;
  private final Workspace work;

  /**
   * @param rowsMax most rows of a token batch
   */
  public Decoder(Kernels kernels, ModelSpec spec, DecoderWeights weights, int rowsMax) {
    this.kernels = kernels;
    this.spec = spec;
    this.weights = weights;
    this.work = new Workspace(kernels, spec, rowsMax);
  }

  /** Most rows of {@link #logits} in one call. */
  public int logitRowsMax() {
    return work.logits().rows();
  }

  /**
   * Computes all rows of a batch and stores their keys and values; {@link #logits} then serves the
   * batch's logit rows.
   */
  public void forward(TokenBatch batch, KvStore store) {
    int n = batch.size();
    int wanted = batch.logitRows().length;
    int last = spec.layers() - 1;
    Tensor x = work.hidden().rows(0, n); // [n, hidden], the residual stream
    kernels.embed(weights.embedding(), batch.tokens(), n, x);
    for (int i = 0; i < last; i++) {
      Tensor mixed = attention(i, x, batch, store);
      feedForward(weights.layers().get(i), x, mixed);
    }
    Tensor mixed = attention(last, x, batch, store);
    if (wanted == 0) return;
    if (wanted < n) {
      // Behind the last attention nothing reads the rows whose logits nobody wants.
      Tensor some = work.qkv().columns(0, mixed.columns()).rows(0, wanted);
      kernels.gatherRows(mixed, batch.logitRows(), wanted, some);
      mixed = some;
      Tensor rest = work.last().rows(0, wanted);
      kernels.gatherRows(x, batch.logitRows(), wanted, rest);
      x = rest;
    }
    feedForward(weights.layers().get(last), x, mixed);
    kernels.rmsNorm(x, weights.outputNorm(), spec.normEps(), work.lastNormed());
  }

  /** Stores the keys and values of a layer and attends: [n, queryHeads * headDim]. */
  private Tensor attention(int i, Tensor x, TokenBatch batch, KvStore store) {
    int queryWidth = spec.queryHeads() * spec.headDim();
    int kvWidth = spec.kvHeads() * spec.headDim();
    DecoderWeights.Layer layer = weights.layers().get(i);
    Activations normed = work.normed().rows(0, x.rows());
    Tensor qkv = work.qkv().rows(0, x.rows());
    Tensor q = qkv.columns(0, queryWidth); // before RoPE
    Tensor k = qkv.columns(queryWidth, queryWidth + kvWidth);
    Tensor v = qkv.columns(queryWidth + kvWidth, queryWidth + 2 * kvWidth);
    Tensor mixed = work.mixed().rows(0, x.rows());
    kernels.rmsNorm(x, layer.attentionNorm(), spec.normEps(), normed);
    kernels.matmul(normed, layer.qkv(), layer.qkvBias(), qkv, Store.SET);
    if (layer.qNorm() != null) {
      kernels.headNorm(q, spec.headDim(), layer.qNorm(), spec.normEps());
      kernels.headNorm(k, spec.headDim(), layer.kNorm(), spec.normEps());
    }
    store.attend(i, q, k, v, batch, mixed);
    return mixed;
  }

  /** Adds the attention's output and the feed-forward network's to the residual stream x. */
  private void feedForward(DecoderWeights.Layer layer, Tensor x, Tensor mixed) {
    Activations heads = work.heads().rows(0, x.rows());
    Activations normed = work.normed().rows(0, x.rows());
    Activations gated = work.gated().rows(0, x.rows());
    Tensor gateUp = work.gateUp().rows(0, x.rows()); // [n, 2 * feedForward]
    kernels.quantize(mixed, heads);
    kernels.matmul(heads, layer.output(), null, x, Store.ADD);
    kernels.rmsNorm(x, layer.feedForwardNorm(), spec.normEps(), normed);
    kernels.matmul(normed, layer.gateUp(), null, gateUp, Store.SET);
    kernels.swiGlu(gateUp, gated);
    kernels.matmul(gated, layer.down(), null, x, Store.ADD);
  }

  /**
   * Logits of the logit rows [from, to) of the latest batch, [to - from, vocabulary]; valid until
   * the next call.
   */
  public Tensor logits(int from, int to) {
    Tensor out = work.logits().rows(0, to - from);
    kernels.matmul(work.lastNormed().rows(from, to), weights.head(), null, out, Store.SET);
    return out;
  }

  /** Bytes of what a decoder of the integer kernels allocates. */
  public static long byteSize(ModelSpec spec, int rowsMax) {
    return Workspace.byteSize(spec, rowsMax);
  }

  /** Frees the buffers; the weights and kernels are the caller's. */
  @Override
  public void close() {
    work.close();
  }
}
