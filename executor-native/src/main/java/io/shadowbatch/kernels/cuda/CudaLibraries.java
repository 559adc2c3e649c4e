package io.shadowbatch.kernels.cuda;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Where libraries of the CUDA toolkit may be: the file that a variable names, the loader's own
 * places, a toolkit, packages of the Python environment that is active.
 *
 * @param variable of the environment, names a file
 * @param names of the library, the newest first
 */
record CudaLibraries(String variable, List<String> names) {
  static final CudaLibraries NVRTC =
      new CudaLibraries("SHADOWBATCH_NVRTC", List.of("libnvrtc.so.13", "libnvrtc.so.12"));
  static final CudaLibraries CUBLASLT =
      new CudaLibraries(
          "SHADOWBATCH_CUBLASLT",
          List.of("libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"));

  /** What to try, in order; with the variable set nothing else. */
  String[] candidates() {
    String file = System.getenv(variable);
    if (file != null && !file.isBlank()) return new String[] {file};
    List<String> all = new ArrayList<>(names);
    for (Path folder : folders()) {
      for (String name : names) {
        Path path = folder.resolve(name);
        if (Files.exists(path)) all.add(path.toString());
      }
    }
    return all.toArray(String[]::new);
  }

  private static List<Path> folders() {
    List<Path> folders = new ArrayList<>();
    for (String home : List.of("CUDA_HOME", "CUDA_PATH")) {
      if (System.getenv(home) != null) folders.add(Path.of(System.getenv(home), "lib64"));
    }
    folders.add(Path.of("/usr/local/cuda/lib64"));
    for (String python : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
      if (System.getenv(python) != null) packages(Path.of(System.getenv(python)), folders);
    }
    return folders;
  }

  /** Adds PREFIX/lib/python3.x/site-packages/nvidia/PACKAGE/lib. */
  private static void packages(Path prefix, List<Path> folders) {
    try (DirectoryStream<Path> pythons =
        Files.newDirectoryStream(prefix.resolve("lib"), "python3*")) {
      for (Path python : pythons) {
        Path nvidia = python.resolve("site-packages").resolve("nvidia");
        if (!Files.isDirectory(nvidia)) continue;
        try (DirectoryStream<Path> packages = Files.newDirectoryStream(nvidia)) {
          for (Path p : packages) folders.add(p.resolve("lib"));
        }
      }
    } catch (IOException e) {
      // No such environment: one place less to look at.
      return;
    }
  }
}
