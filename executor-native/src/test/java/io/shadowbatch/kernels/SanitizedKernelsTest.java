package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * The tests of the CPU kernels once more, on every instruction set of this machine and on emulated
 * tiles, in a process whose kernels were built with the address and the undefined-behaviour
 * sanitizer: the first finding ends it. All memory of the kernels has redzones.
 */
@Timeout(600)
class SanitizedKernelsTest {
  private static final Path FOLDER = Path.of("target", "sanitized").toAbsolutePath();
  private static final int FINDING = 86;

  @TempDir Path folder;

  /** What a process said and how it ended. */
  private record Outcome(int code, String log) {}

  @BeforeEach
  void requireBuild() throws Exception {
    boolean there = Files.isDirectory(FOLDER.resolve("native"));
    if (!there) System.out.println("skipped: no " + FOLDER + ", which -Psanitizers makes");
    assumeTrue(there, "the library with sanitizers was not built");
    boolean runtime = Files.exists(Path.of(asan()));
    if (!runtime) System.out.println("skipped: g++ has no libasan.so here");
    assumeTrue(runtime, "g++ has no libasan.so");
  }

  private static String asan() throws IOException {
    Process p = new ProcessBuilder("g++", "-print-file-name=libasan.so").start();
    return new String(p.getInputStream().readAllBytes()).strip();
  }

  private Outcome run(String... args) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // Its own folder first: the library is found where the usual one is not.
    String classes = FOLDER + ":" + System.getProperty("java.class.path");
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-Xmx1g", "-cp", classes));
    command.add("-Dshadowbatch.sanitized=true");
    command.add(SanitizedRun.class.getName());
    command.addAll(List.of(args));
    Path log = folder.resolve("log");
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("LD_PRELOAD", asan());
    // The JVM handles its own signals, and frees little at its end.
    builder.environment().put("ASAN_OPTIONS", "handle_segv=0:detect_leaks=0:exitcode=" + FINDING);
    builder.environment().put("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=" + FINDING);
    builder.redirectErrorStream(true).redirectOutput(log.toFile());
    Process process = builder.start();
    boolean ended = process.waitFor(500, TimeUnit.SECONDS);
    process.destroyForcibly();
    String text = Files.readString(log);
    assertThat(ended).as("ended within 500 s:\n%s", text).isTrue();
    return new Outcome(process.exitValue(), text);
  }

  @Test
  void kernelsReadNothingOutsideAndOverflowNowhere() throws Exception {
    List<Class<?>> tests = new ArrayList<>(List.of(KernelsParityTest.class));
    tests.add(KernelsLowRankParityTest.class);
    if (Boolean.getBoolean("shadowbatch.test.slow")) { // minutes, where the others take one
      tests.addAll(List.of(KernelsAttentionParityTest.class, ChunkParityTest.class));
    }
    Outcome o = run(tests.stream().map(Class::getName).toArray(String[]::new));
    assertThat(o.log()).contains("passed ").doesNotContain("passed 0", "skipped: this machine");
    assertThat(o.code()).as(o.log()).isZero();
  }

  @Test
  void aPlantedReadBehindABufferIsFound() throws Exception {
    Outcome o = run("read");
    assertThat(o.log()).contains("inside 0", "heap-buffer-overflow", "READ of size 1");
    assertThat(o.log()).doesNotContain("behind");
    assertThat(o.code()).isNotZero();
  }

  @Test
  void aPlantedOverflowIsFound() throws Exception {
    Outcome o = run("sum");
    assertThat(o.log()).contains("below 2147483647", "signed integer overflow", "planted.cpp");
    assertThat(o.log()).doesNotContain("above");
    assertThat(o.code()).isNotZero();
  }
}
