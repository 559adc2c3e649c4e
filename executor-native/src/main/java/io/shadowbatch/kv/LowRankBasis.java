package io.shadowbatch.kv;

import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.tensor.Storage;

/**
 * The spaces of all layers in which a segment of a prompt keeps its keys. Never changes, so that
 * all sequences whose prompts begin with the same pages can share one.
 *
 * <p>A basis that {@link LowRankKeys#extend} made may refer to layers of the one before it, which
 * must stay open as long: close in the opposite order.
 */
public final class LowRankBasis implements AutoCloseable {
  private final LowRank[] layers;
  private final Storage own;

  /**
   * @param own memory of the layers that are not another basis' own
   */
  LowRankBasis(LowRank[] layers, Storage own) {
    this.layers = layers;
    this.own = own;
  }

  /** The space of a layer. */
  public LowRank layer(int layer) {
    return layers[layer];
  }

  /** Bytes that it holds itself, without layers of the basis before it. */
  public long bytes() {
    return own.byteSize();
  }

  @Override
  public void close() {
    own.close();
  }
}
