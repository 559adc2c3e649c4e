package io.shadowbatch.weights;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Finds the real models that tests use where they are there, and skips where they are not. */
public final class RealModels {
  public static final String SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf";
  public static final String QWEN = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

  private RealModels() {}

  /** The path of a model; the calling test is skipped, with the reason printed, without it. */
  public static Path find(String name) {
    Path file = folder().resolve(name);
    boolean there = Files.isRegularFile(file);
    String reason =
        "skipped: no model " + file + " (folder: -Dshadowbatch.models or SHADOWBATCH_MODELS)";
    if (!there) System.out.println(reason);
    assumeTrue(there, reason);
    return file;
  }

  private static Path folder() {
    String property = System.getProperty("shadowbatch.models");
    String folder = property == null ? System.getenv("SHADOWBATCH_MODELS") : property;
    return folder == null
        ? Path.of(System.getProperty("user.home"), ".cache/shadowbatch/models")
        : Path.of(folder);
  }
}
