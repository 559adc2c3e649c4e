package io.shadowbatch.kernels.cuda;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/**
 * Gives tests a CUDA driver: the machine's own if it has a GPU, else the stand-in that the build
 * makes (src/test/cuda). What served is printed.
 */
public final class StandIn {
  private static final Path FILE = Path.of("target", "stand-in", "libcuda.so.1");
  private static final Path DEVICE = Path.of("/dev/nvidiactl");

  private static boolean ready;

  private StandIn() {}

  /**
   * A setting of the stand-in, see src/test/cuda/driver/driver.h: {@code FAIL} with {@code
   * launch:1}, say; an empty one ends faults.
   */
  public static native boolean set(String key, String value);

  /** What the stand-in has queued of a kind since it was loaded, see driver.h. */
  public static native long count(String key);

  /** Device 0. The test is skipped if there is no driver because the native build was. */
  static Gpu open() {
    require();
    return Gpu.open(0);
  }

  /** Makes sure of a driver. */
  public static synchronized void require() {
    if (ready) return;
    if (real()) {
      System.out.println("CUDA tests: the driver of this machine");
    } else {
      boolean there = Files.exists(FILE);
      if (!there && Boolean.getBoolean("exec.skip")) {
        Assumptions.abort(FILE + " is not there: built by Maven without -Dexec.skip");
      }
      if (!there) throw new IllegalStateException(FILE + " is not there: CMake has not built it");
      String path = FILE.toAbsolutePath().toString();
      System.load(path);
      System.setProperty(Driver.LIBRARY, path);
      System.out.println("CUDA tests: the stand-in driver");
    }
    ready = true;
  }

  public static boolean real() {
    return Files.exists(DEVICE);
  }

  /** Skips a test that plans faults or counts calls, which no real driver does. */
  public static void requireFaults() {
    Assumptions.assumeFalse(real(), "a real driver does not fail when told to, nor count");
    require();
  }
}
