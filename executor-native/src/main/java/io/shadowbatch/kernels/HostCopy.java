package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * Lets the host read tensors of a backend whose memory it may not see. Keeps one buffer, so a copy
 * is valid until the next. Used by one thread.
 */
public final class HostCopy implements AutoCloseable {
  private final Kernels kernels;
  private Storage storage;

  public HostCopy(Kernels kernels) {
    this.kernels = kernels;
  }

  /** The tensor itself where the host can read it, else a copy. */
  public Tensor of(Tensor tensor) {
    if (tensor.storage().bytes() != null) return tensor;
    long bytes = (long) tensor.rows() * tensor.columns() * tensor.dtype().bytes();
    if (storage == null || storage.byteSize() < bytes) {
      close();
      storage = kernels.allocateHost(bytes);
    }
    Tensor copy = Tensor.of(storage, tensor.dtype(), tensor.rows(), tensor.columns());
    kernels.copy(tensor, copy);
    return copy;
  }

  @Override
  public void close() {
    if (storage != null) storage.close();
    storage = null;
  }
}
