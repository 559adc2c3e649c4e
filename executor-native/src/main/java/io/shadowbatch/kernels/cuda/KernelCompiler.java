package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.cuda.KernelImages.Found;
import io.shadowbatch.kernels.cuda.KernelSources.Source;
import java.util.List;
import java.util.Optional;

/**
 * Compiles the jar's sources with whatever NVRTC is there, all cores at once, and keeps the
 * results: a file of kernels takes a core 0.3 to 10 s.
 */
final class KernelCompiler {
  private static final int LOG_CHARS_MAX = 2000;

  /** What the kernels leave unsaid: that their constants' functions are for the device. */
  private static final String[] OPTIONS = {"--std=c++17", "-default-device"};

  private KernelCompiler() {}

  /** Machine code of one file, or why there is none. */
  private record Result(byte[] image, String problem) {}

  static Found compile(GpuInfo info) {
    return compile(
        KernelSources.kernels(),
        KernelSources.headers(),
        info.architecture(),
        info.driver(),
        KernelCache.open());
  }

  /**
   * @param architecture 90 for sm_90
   * @param driver whose results are not another's
   */
  static Found compile(
      List<Source> kernels,
      List<Source> headers,
      int architecture,
      String driver,
      KernelCache cache) {
    if (kernels.isEmpty()) return new Found(List.of(), "no sources of kernels in this jar");
    String target = architecture + "-" + driver;
    List<Result> results =
        kernels.parallelStream()
            .map(k -> kept(k, headers, target, "--gpu-architecture=sm_" + architecture, cache))
            .toList();
    for (Result result : results) {
      if (result.problem() != null) return new Found(List.of(), result.problem());
    }
    return new Found(results.stream().map(Result::image).toList(), null);
  }

  private static Result kept(
      Source kernel, List<Source> headers, String target, String architecture, KernelCache cache) {
    String key = target + "-" + KernelSources.hash(kernel, headers);
    Optional<byte[]> kept = cache.get(key);
    if (kept.isPresent()) return new Result(kept.get(), null);
    String closed = GpuNative.openCompiler(CudaLibraries.NVRTC.candidates());
    if (closed != null) return new Result(null, "NVRTC is not there: " + closed);
    Result result = run(kernel, headers, architecture);
    if (result.image() != null) cache.put(key, result.image());
    return result;
  }

  private static Result run(Source kernel, List<Source> headers, String architecture) {
    int n = headers.size();
    String[] texts = new String[2 * n];
    for (int i = 0; i < n; i++) {
      texts[i] = headers.get(i).text();
      texts[n + i] = headers.get(i).name();
    }
    String[] options = {architecture, OPTIONS[0], OPTIONS[1]};
    String[] log = new String[1];
    byte[] image = GpuNative.compile(kernel.name(), kernel.text(), texts, options, log);
    return image != null ? new Result(image, null) : new Result(null, failure(kernel, log[0]));
  }

  private static String failure(Source kernel, String log) {
    int version = GpuNative.compilerVersion();
    return "NVRTC %d.%d cannot compile %s: %s"
        .formatted(
            version / 1000,
            version % 1000 / 10,
            kernel.name(),
            log.length() > LOG_CHARS_MAX ? log.substring(0, LOG_CHARS_MAX) + ".." : log.strip());
  }
}
