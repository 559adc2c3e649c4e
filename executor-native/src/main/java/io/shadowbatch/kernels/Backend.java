package io.shadowbatch.kernels;

import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cuda.CudaKernels;

/** Opens kernels by the name that configuration gives. The choice is never silent. */
public final class Backend {
  private static final String CUDA = "cuda";

  private Backend() {}

  /**
   * @param name {@code cpu}, {@code reference}, {@code cuda} for the first GPU or {@code cuda:N}
   *     for another
   * @param threads threads that work on a call; the reference has one, the GPU its own
   * @throws UnsatisfiedLinkError if this machine has no GPU driver, or the jar is for another
   * @throws IllegalStateException if there is no such GPU or it cannot run the kernels
   */
  public static Kernels open(String name, int threads) {
    return switch (name) {
      case "cpu" -> CpuKernels.open(threads);
      case "reference" -> new ReferenceKernels(ReferenceKernels.Form.INT8);
      case CUDA -> CudaKernels.open(0);
      default -> {
        if (name.matches(CUDA + ":\\d{1,4}")) {
          yield CudaKernels.open(Integer.parseInt(name.substring(CUDA.length() + 1)));
        }
        throw new IllegalArgumentException(
            "backend '%s' is unknown; there are cpu, reference, cuda and cuda:N".formatted(name));
      }
    };
  }
}
