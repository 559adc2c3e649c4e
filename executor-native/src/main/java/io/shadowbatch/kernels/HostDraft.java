package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * Lets the host write tensors of a backend whose memory it may not see. Keeps one buffer: a draft
 * is sent before the next is begun. Used by one thread.
 */
public final class HostDraft implements AutoCloseable {
  private final Kernels kernels;
  private Storage storage;
  private Tensor target;
  private Tensor draft;

  public HostDraft(Kernels kernels) {
    this.kernels = kernels;
  }

  /** The tensor itself where the host can write it, else room for all its elements. */
  public Tensor of(Tensor tensor) {
    target = tensor;
    draft = tensor;
    if (tensor.storage().bytes() != null) return draft;
    long bytes = (long) tensor.rows() * tensor.columns() * tensor.dtype().bytes();
    if (storage == null || storage.byteSize() < bytes) {
      close();
      storage = kernels.allocateHost(bytes);
    }
    draft = Tensor.of(storage, tensor.dtype(), tensor.rows(), tensor.columns());
    return draft;
  }

  /** What was written since {@link #of} goes to its tensor. */
  public void send() {
    if (draft == target) return;
    kernels.copy(draft, target);
    kernels.finish(); // the buffer may be written again
  }

  @Override
  public void close() {
    if (storage != null) storage.close();
    storage = null;
  }
}
