package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.NativeLibrary;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;

/** The CUDA driver of this process: loaded once, its devices and its errors. */
final class Driver {
  /** System property: the file of another driver, as tests have it. */
  static final String LIBRARY = "shadowbatch.cuda.library";

  static final int OUT_OF_MEMORY = 2;
  static final int NOT_FOUND = 500;
  static final int NOT_READY = 600;

  // Device attributes (cuda.h).
  static final int MULTIPROCESSORS = 16;
  static final int ONE_ADDRESS_SPACE = 41;
  static final int MAJOR = 75;
  static final int MINOR = 76;
  static final int SHARED_BYTES_MAX = 97;

  /**
   * Errors after which the context is of no use: uncorrectable memory or link (214, 220), illegal
   * address, timeout, assertion, stack, instruction, alignment, address space, program counter,
   * launch failure, and what the driver calls unknown.
   */
  private static final Set<Integer> STICKY =
      Set.of(214, 220, 700, 702, 710, 714, 715, 716, 717, 718, 719, 999);

  private static boolean loaded;

  private Driver() {}

  /**
   * Loads and starts the driver.
   *
   * @throws UnsatisfiedLinkError if this machine has none, with the cure
   */
  static synchronized void load() {
    if (loaded) return;
    NativeLibrary.load();
    String library = System.getProperty(LIBRARY, "libcuda.so.1");
    String why = GpuNative.openDriver(library);
    if (why != null) {
      throw new UnsatisfiedLinkError(
          ("no NVIDIA driver: %s; install the driver (in a container: run it with the GPU),"
                  + " or use --backend cpu")
              .formatted(why));
    }
    loadBinding();
    int result = JCudaDriver.cuInit(0);
    if (result != 0) {
      throw new IllegalStateException(
          "the NVIDIA driver does not start: %s; see nvidia-smi, or use --backend cpu"
              .formatted(name(result)));
    }
    loaded = true;
  }

  /**
   * JCuda unpacks its library to a fixed name in the folder of temporary files, and takes what is
   * there already, whole or not and whoever wrote it: so it gets a folder of its own for that.
   */
  private static void loadBinding() {
    String property = "java.io.tmpdir";
    String before = System.getProperty(property);
    try {
      Path folder = Files.createTempDirectory("shadowbatch-jcuda-");
      System.setProperty(property, folder.toString());
      try {
        JCudaDriver.setExceptionsEnabled(false);
      } finally {
        System.setProperty(property, before);
        try (Stream<Path> files = Files.list(folder)) {
          for (Path file : files.toList()) Files.delete(file);
        }
        Files.delete(folder);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot unpack JCuda's library into " + before, e);
    }
  }

  /** The device of that number. */
  static CUdevice device(int ordinal) {
    int[] count = new int[1];
    require(JCudaDriver.cuDeviceGetCount(count), "the number of devices");
    if (ordinal < 0 || ordinal >= count[0]) {
      throw new IllegalStateException(
          "CUDA device %d asked, %d there (numbered from 0; CUDA_VISIBLE_DEVICES is %s)"
              .formatted(ordinal, count[0], System.getenv("CUDA_VISIBLE_DEVICES")));
    }
    CUdevice device = new CUdevice();
    require(JCudaDriver.cuDeviceGet(device, ordinal), "device " + ordinal);
    return device;
  }

  static String nameOf(CUdevice device) {
    byte[] name = new byte[256];
    require(JCudaDriver.cuDeviceGetName(name, name.length, device), "a device's name");
    int length = 0;
    while (length < name.length && name[length] != 0) length++;
    return new String(name, 0, length, StandardCharsets.UTF_8);
  }

  static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    require(
        JCudaDriver.cuDeviceGetAttribute(value, attribute, device),
        "device attribute " + attribute);
    return value[0];
  }

  /** Release of the driver, as "13.0". */
  static String version() {
    int[] version = new int[1];
    require(JCudaDriver.cuDriverGetVersion(version), "the driver's version");
    return version[0] / 1000 + "." + version[0] % 1000 / 10;
  }

  /** For what fails before there is a context. */
  private static void require(int result, String what) {
    if (result != 0) throw new IllegalStateException("cuda: " + what + ": " + name(result));
  }

  static boolean isSticky(int result) {
    return STICKY.contains(result);
  }

  /** The error's name and number. */
  static String name(int result) {
    String[] name = new String[1];
    JCudaDriver.cuGetErrorName(result, name);
    return (name[0] == null ? "CUDA error" : name[0]) + " (" + result + ")";
  }
}
