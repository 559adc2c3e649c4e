package io.shadowbatch.golden;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * Where tests find real models and their float32 references. Models lie in a folder (property or
 * environment {@code shadowbatch.models} / {@code SHADOWBATCH_MODELS}, else the cache that the demo
 * fills); the default model is fetched into it once, as the demo does. References of both models
 * are looked for in a folder named {@code shared} beside the checkout. A test whose file is absent
 * skips and says why.
 */
public final class RealModels {
  /** The default model of the product. */
  public static final String SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf";

  /** Another family and other tensor types; for tests only. */
  public static final String QWEN = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

  private static final int FETCH_SECONDS = 300;
  private static boolean fetched;

  private RealModels() {}

  /** The path of a model; the calling test is skipped, with the reason printed, without it. */
  public static Path find(String name) {
    String set = setting("shadowbatch.models", "SHADOWBATCH_MODELS");
    Path folder =
        set != null
            ? Path.of(set)
            : Path.of(System.getProperty("user.home"), ".cache", "shadowbatch", "models");
    Path file = folder.resolve(name);
    if (!Files.exists(file) && name.equals(SMOLLM2)) fetch();
    require(file);
    return file;
  }

  /** A file of the references; the calling test is skipped without it. */
  public static Path reference(String name) {
    String set = setting("shadowbatch.shared", "SHADOWBATCH_SHARED");
    Path folder = set != null ? Path.of(set) : Path.of("..", "..", "shared");
    Path file = folder.resolve("golden").resolve(name);
    require(file);
    return file;
  }

  private static void require(Path file) {
    boolean there = Files.exists(file);
    if (!there) System.out.println("skipped: " + file + " is absent");
    assumeTrue(there, file + " is absent");
  }

  /** Runs the launcher's own fetching, once; what it says is printed. */
  private static synchronized void fetch() {
    if (fetched) return;
    fetched = true;
    Path launcher = Path.of("..", "spark-job", "bin", "shadowbatch");
    try {
      Process process = new ProcessBuilder(launcher.toString(), "model").inheritIO().start();
      if (!process.waitFor(FETCH_SECONDS, TimeUnit.SECONDS)) process.destroyForcibly();
    } catch (IOException e) {
      System.out.println("the default model was not fetched: " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static String setting(String property, String variable) {
    String value = System.getProperty(property);
    return value != null ? value : System.getenv(variable);
  }
}
