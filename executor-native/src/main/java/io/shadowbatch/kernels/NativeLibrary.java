package io.shadowbatch.kernels;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Finds the native library on the class path and loads it once per class loader. */
public final class NativeLibrary {
  private static boolean loaded;

  private NativeLibrary() {}

  /**
   * Loads the library of this platform.
   *
   * @throws UnsatisfiedLinkError if the class path holds none, with what to do about it
   */
  public static synchronized void load() {
    if (loaded) return;
    loadFrom(resource(System.getProperty("os.name"), System.getProperty("os.arch")));
    loaded = true;
  }

  static String resource(String os, String arch) {
    return "/native/" + os + "-" + arch + "/libshadowbatch.so";
  }

  /** The file is unlinked as soon as it is mapped, so that nothing is left behind by a kill. */
  static void loadFrom(String resource) {
    try (InputStream in = NativeLibrary.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new UnsatisfiedLinkError(
            ("no %s on the class path: this jar was built for another platform;"
                    + " run 'mvn package' on this one (needs cmake and g++),"
                    + " or choose the backend 'reference'")
                .formatted(resource));
      }
      Path directory = Files.createTempDirectory("shadowbatch-native-");
      Path library = directory.resolve("libshadowbatch.so");
      try {
        Files.copy(in, library);
        System.load(library.toAbsolutePath().toString());
      } finally {
        Files.deleteIfExists(library);
        Files.deleteIfExists(directory);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "cannot unpack %s into %s".formatted(resource, System.getProperty("java.io.tmpdir")), e);
    }
  }
}
