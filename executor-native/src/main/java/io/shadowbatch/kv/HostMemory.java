package io.shadowbatch.kv;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.tensor.Storage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.LongFunction;

/**
 * Memory behind the device's: what is read seldom moves there.
 *
 * @param bytes most of it; 0 for none
 * @param folder where it lies in files that are deleted at the end, so that the system may write it
 *     out; null for plain memory
 */
public record HostMemory(long bytes, Path folder) {
  /** Where it lies, for a message. */
  String place() {
    return folder == null ? "the machine" : "folder " + folder;
  }

  /** Gives memory, or throws {@link OutOfMemoryError} where there is no more. */
  LongFunction<Storage> source(Kernels kernels) {
    if (folder == null) return kernels::allocateHost;
    return size -> {
      try {
        return kernels.spill(folder, size);
      } catch (IOException e) {
        throw new OutOfMemoryError("host memory in " + folder + ": " + e);
      }
    };
  }

  /** Plain memory. */
  public static HostMemory of(long bytes) {
    return new HostMemory(bytes, null);
  }
}
