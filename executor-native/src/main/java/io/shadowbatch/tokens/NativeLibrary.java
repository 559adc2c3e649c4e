package io.shadowbatch.tokens;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * Loads the native tokenizers library once, without any network use.
 *
 * <p>It calls the library's JNI class and not its Java front: the front reports each start to a
 * telemetry address, and copies token texts and spans that nobody reads here.
 */
final class NativeLibrary {
  static final String CURE =
      "the native tokenizers library did not load; on Linux it needs glibc >= 2.34"
          + " (RHEL 9, Ubuntu 22.04, Debian 12 or later) and a writable DJL_CACHE_DIR";

  private NativeLibrary() {}

  /**
   * The loaded library.
   *
   * @throws TokenizerException with the cure, if it cannot load
   */
  static TokenizersLibrary library() {
    return Holder.load();
  }

  private static final class Holder {
    private static TokenizersLibrary loaded;

    static synchronized TokenizersLibrary load() {
      if (loaded == null) {
        prepare();
        try {
          LibUtils.checkStatus();
          loaded = TokenizersLibrary.LIB;
        } catch (RuntimeException | LinkageError e) {
          throw new TokenizerException(CURE + ": " + e, e);
        }
      }
      return loaded;
    }
  }

  /** Settings that the library reads from the environment first, then from properties. */
  private static void prepare() {
    System.setProperty("ai.djl.offline", "true");
    setUnlessGiven("OPT_OUT_TRACKING", "true");
    setUnlessGiven("RUST_FLAVOR", "cpu");
    if (isGiven("DJL_CACHE_DIR")) {
      return;
    }
    try {
      System.setProperty("DJL_CACHE_DIR", cacheFolder().toString());
    } catch (IOException | UnsupportedOperationException e) {
      throw new TokenizerException("no private folder for native code; set DJL_CACHE_DIR: " + e, e);
    }
  }

  private static boolean isGiven(String name) {
    return System.getenv(name) != null || System.getProperty(name) != null;
  }

  private static void setUnlessGiven(String name, String value) {
    if (!isGiven(name)) {
      System.setProperty(name, value);
    }
  }

  /**
   * Under the home folder; where that is not writable, a fresh folder that nobody else can fill.
   */
  private static Path cacheFolder() throws IOException {
    Path home = Path.of(System.getProperty("user.home"));
    Path folder = home.resolve(".cache").resolve("shadowbatch").resolve("djl");
    try {
      Files.createDirectories(folder);
      if (Files.isWritable(folder) && Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
        return folder;
      }
    } catch (IOException ignored) {
      // a home that cannot be written: the temporary folder below
    }
    return Files.createTempDirectory(
        "shadowbatch-djl",
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
  }
}
