package io.shadowbatch.kernels.cuda;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** The kernels on a device, found by their names. */
final class Modules implements AutoCloseable {
  /** Dynamic shared memory that a kernel may have without being asked for. */
  private static final int SHARED_BYTES_FREE = 48 << 10;

  private static final int ATTRIBUTE_SHARED_BYTES_MAX = 8;

  private final List<CUmodule> modules;
  private final Map<String, Kernel> kernels = new HashMap<>();

  private Modules(List<CUmodule> modules) {
    this.modules = modules;
  }

  /** A kernel and the shared memory it was allowed. */
  static final class Kernel {
    private final String name;
    private final Handles.Function function;
    private final long parameterBytes;
    private int allowed = SHARED_BYTES_FREE;

    private Kernel(String name, Handles.Function function) {
      this.name = name;
      this.function = function;
      parameterBytes = GpuNative.parameterBytes(function.value());
    }

    long handle() {
      return function.value();
    }

    void requireParams(Params p) {
      if (parameterBytes < 0 || parameterBytes == p.bytes()) return;
      throw new IllegalStateException(
          "cuda: kernel %s takes a struct of %d bytes, got %d: Java and CUDA code do not agree"
              .formatted(name, parameterBytes, p.bytes()));
    }

    boolean mustAllow(int sharedBytes) {
      return sharedBytes > allowed;
    }

    int allow(int sharedBytes) {
      int result =
          JCudaDriver.cuFuncSetAttribute(function, ATTRIBUTE_SHARED_BYTES_MAX, sharedBytes);
      if (result == 0) allowed = sharedBytes;
      return result;
    }
  }

  /**
   * Loads what {@link KernelImages} offers first and the driver takes. The context is entered.
   *
   * @throws IllegalStateException if the driver takes none, with what was tried
   */
  static Modules load(GpuInfo info) {
    StringBuilder tried = new StringBuilder();
    for (KernelImages.Offer offer : KernelImages.offers(info)) {
      KernelImages.Found found = offer.search().run();
      String problem = found.problem();
      if (problem == null) {
        List<CUmodule> modules = new ArrayList<>();
        int result = 0;
        for (byte[] image : found.images()) {
          CUmodule module = new CUmodule();
          result = JCudaDriver.cuModuleLoadData(module, image);
          if (result != 0) break;
          modules.add(module);
        }
        if (result == 0) return new Modules(modules);
        modules.forEach(JCudaDriver::cuModuleUnload);
        problem = "the driver refuses it: " + Driver.name(result);
      }
      tried.append("\n  ").append(offer.name()).append(": ").append(problem);
    }
    throw new IllegalStateException(
        ("no GPU kernels for %s; tried:%s\n"
                + "install NVRTC (pip install nvidia-cuda-nvrtc, or the CUDA toolkit) and name its"
                + " file in %s, or use --backend cpu")
            .formatted(info, tried, CudaLibraries.NVRTC.variable()));
  }

  Kernel kernel(String name, Gpu gpu) {
    Kernel known = kernels.get(name);
    if (known != null) return known;
    for (CUmodule module : modules) {
      Handles.Function function = new Handles.Function();
      int result = JCudaDriver.cuModuleGetFunction(function, module, name);
      if (result == Driver.NOT_FOUND) continue;
      gpu.check(result, "kernel " + name);
      Kernel kernel = new Kernel(name, function);
      kernels.put(name, kernel);
      return kernel;
    }
    throw new IllegalStateException("cuda: there is no kernel '%s'".formatted(name));
  }

  @Override
  public void close() {
    modules.forEach(JCudaDriver::cuModuleUnload);
  }
}
