package io.shadowbatch.golden;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where tests find real models and the float32 references of both: a folder of models (property or
 * environment {@code shadowbatch.models} / {@code SHADOWBATCH_MODELS}, else the cache that the demo
 * fills) and a folder named {@code shared} beside the checkout. A test whose file is absent skips
 * and says why.
 */
public final class RealModels {
  /** The default model of the product. */
  public static final String SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf";

  /** Another family and other tensor types; for tests only. */
  public static final String QWEN = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

  private RealModels() {}

  /** The folder of models. */
  public static Path folder() {
    String folder = setting("shadowbatch.models", "SHADOWBATCH_MODELS");
    return folder != null
        ? Path.of(folder)
        : Path.of(System.getProperty("user.home"), ".cache", "shadowbatch", "models");
  }

  /** A model, whether it is there or not. */
  public static Path model(String name) {
    return folder().resolve(name);
  }

  /** A file of the founders' golden references, whether it is there or not. */
  public static Path reference(String name) {
    String shared = setting("shadowbatch.shared", "SHADOWBATCH_SHARED");
    Path folder = shared != null ? Path.of(shared) : Path.of("..", "..", "shared");
    return folder.resolve("golden").resolve(name);
  }

  /** True if all files are there; prints the first that is not. */
  public static boolean present(Path... files) {
    for (Path file : files) {
      if (!Files.exists(file)) {
        System.out.println("skipped: " + file + " is absent");
        return false;
      }
    }
    return true;
  }

  private static String setting(String property, String variable) {
    String value = System.getProperty(property);
    return value != null ? value : System.getenv(variable);
  }
}
