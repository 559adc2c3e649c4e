package io.shadowbatch.kernels;

import io.shadowbatch.kernels.cpu.CpuKernels;

/** Opens kernels by the name that configuration gives. The choice is never silent. */
public final class Backend {
  private Backend() {}

  /**
   * @param name {@code cpu} or {@code reference}
   * @param threads threads that work on a call; the reference has one
   */
  public static Kernels open(String name, int threads) {
    return switch (name) {
      case "cpu" -> CpuKernels.open(threads);
      case "reference" -> new ReferenceKernels(ReferenceKernels.Form.INT8);
      case "cuda" ->
          throw new IllegalArgumentException(
              "backend 'cuda' is not in this build; there are cpu and reference");
      default ->
          throw new IllegalArgumentException(
              "backend '%s' is unknown; there are cpu and reference".formatted(name));
    };
  }
}
