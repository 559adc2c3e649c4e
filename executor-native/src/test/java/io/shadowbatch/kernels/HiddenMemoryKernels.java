package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Kernels that work by address, as those of a device: the host cannot read what they allocate, only
 * what {@link Kernels#allocateHost} gave.
 */
public final class HiddenMemoryKernels {
  private final Kernels real;
  private final Map<Long, Storage> hidden = new ConcurrentHashMap<>();

  private HiddenMemoryKernels(Kernels real) {
    this.real = real;
  }

  /** Hides the device memory of kernels that use addresses. */
  public static Kernels over(Kernels real) {
    HiddenMemoryKernels kernels = new HiddenMemoryKernels(real);
    return (Kernels)
        Proxy.newProxyInstance(
            Kernels.class.getClassLoader(),
            new Class<?>[] {Kernels.class},
            (proxy, method, args) ->
                switch (method.getName()) {
                  case "allocate" -> kernels.allocate((Long) args[0]);
                  case "copy" -> {
                    real.copy(kernels.seen((Tensor) args[0]), kernels.seen((Tensor) args[1]));
                    yield null;
                  }
                  default -> {
                    try {
                      yield method.invoke(real, args);
                    } catch (InvocationTargetException e) {
                      throw e.getCause();
                    }
                  }
                });
  }

  private Storage allocate(long bytes) {
    Storage storage = real.allocate(bytes);
    hidden.put(storage.address(), storage);
    return new Storage(
        null,
        storage.address(),
        bytes,
        () -> {
          hidden.remove(storage.address());
          storage.close();
        });
  }

  /** The tensor with memory that the host can read. */
  private Tensor seen(Tensor t) {
    if (t.storage().bytes() != null) return t;
    Storage storage = hidden.get(t.storage().address());
    return new Tensor(storage, t.byteOffset(), t.dtype(), t.rows(), t.columns(), t.rowStride());
  }
}
