package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a process is told that has no driver: in a process of its own, as a driver stays loaded. */
class DriverTest {
  /** Opens a device with the driver that the system property names. */
  static final class Opening {
    private Opening() {}

    public static void main(String[] none) {
      Gpu.open(0).close();
    }
  }

  @Test
  void aMissingDriverNamesItselfAndTheCure() throws IOException, InterruptedException {
    assertThat(open("libnone.so.1"))
        .contains("UnsatisfiedLinkError: no NVIDIA driver: libnone.so.1")
        .contains("--backend cpu");
  }

  @Test
  void aLibraryThatIsNoDriverIsRefused() throws IOException, InterruptedException {
    assertThat(open("libm.so.6")).contains("libm.so.6 has no function cuCtxSetCurrent");
  }

  private static String open(String library) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-cp",
                    System.getProperty("java.class.path"),
                    "-D" + Driver.LIBRARY + "=" + library,
                    Opening.class.getName()))
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isEqualTo(1);
    return said;
  }
}
