package io.shadowbatch.kernels.cuda;

import io.shadowbatch.tensor.Storage;

/** A table on the device that outlives the ring of uploads: what all layers of a step read. */
final class DeviceTable implements AutoCloseable {
  private final Gpu gpu;
  private Storage storage;

  DeviceTable(Gpu gpu) {
    this.gpu = gpu;
  }

  /** Replaces the table, after the kernels queued so far; returns its address. */
  long load(Words words) {
    long bytes = 8L * words.size();
    if (storage == null || storage.byteSize() < bytes) {
      close();
      storage = gpu.allocate(2 * Math.max(bytes, 1 << 14));
    }
    gpu.copy(gpu.upload(words.array(), words.size()), storage.address(), bytes);
    return storage.address();
  }

  long address() {
    return storage.address();
  }

  @Override
  public void close() {
    if (storage != null) storage.close();
    storage = null;
  }
}
