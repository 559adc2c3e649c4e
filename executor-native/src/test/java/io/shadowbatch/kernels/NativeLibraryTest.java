package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Loading leaves nothing behind, and a missing library says what to do. */
class NativeLibraryTest {
  @Test
  void aMissingLibraryNamesTheCure() {
    String resource = NativeLibrary.resource("Plan9", "mips");
    assertThatThrownBy(() -> NativeLibrary.loadFrom(resource))
        .isInstanceOf(UnsatisfiedLinkError.class)
        .hasMessageContaining("/native/Plan9-mips/libshadowbatch.so")
        .hasMessageContaining("mvn package")
        .hasMessageContaining("reference");
  }

  @Test
  void theUnpackedFileIsGoneAfterLoading() throws IOException {
    NativeLibrary.load();
    try (Stream<Path> files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
      List<Path> left =
          files
              .filter(p -> p.getFileName().toString().startsWith("shadowbatch-native-"))
              .filter(p -> Files.exists(p.resolve("libshadowbatch.so")))
              .toList();
      assertThat(left).isEmpty();
    }
  }
}
