package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.NativeLibrary;
import io.shadowbatch.kernels.cuda.KernelImages.Found;
import io.shadowbatch.kernels.cuda.KernelSources.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where kernels come from on a device for which the jar has no machine code. */
class KernelCompilerTest {
  private static final String[] NONE = {"libnone.so.13", "libnone.so.12"};

  @TempDir Path folder;

  @BeforeAll
  static void load() {
    NativeLibrary.load();
  }

  private static boolean compiles() {
    return GpuNative.openCompiler(CudaLibraries.NVRTC.candidates()) == null;
  }

  @Test
  void aMissingCompilerNamesAllThatWasTried() {
    Assumptions.assumeTrue(GpuNative.compilerVersion() == 0, "a compiler is open already");
    assertThat(GpuNative.openCompiler(NONE)).contains("libnone.so.13", "libnone.so.12");
    assertThat(GpuNative.openCompiler(new String[] {"libm.so.6"}))
        .contains("libm.so.6 has no function nvrtcVersion");
    assertThat(GpuNative.compilerVersion()).isZero();
  }

  @Test
  void missingProductsAreSaidTheSameWay() {
    String[] why = new String[1];
    assertThat(GpuNative.openBlas(NONE, why)).isZero();
    assertThat(why[0]).contains("libnone.so.13", "libnone.so.12");
    assertThat(GpuNative.openBlas(new String[] {"libm.so.6"}, why)).isZero();
    assertThat(why[0]).contains("libm.so.6 has no function cublasLtCreate");
  }

  @Test
  void aJarWithoutSourcesSaysSo() {
    Found found = KernelCompiler.compile(List.of(), List.of(), 90, "13.0", cache(1 << 20));
    assertThat(found.problem()).isEqualTo("no sources of kernels in this jar");
  }

  @Test
  void theJarHasItsSources() {
    assertThat(KernelSources.kernels()).extracting(Source::name).contains("probe.cu");
    assertThat(KernelSources.headers()).extracting(Source::name).contains("device.h");
    assertThat(KernelSources.kernels()).extracting(Source::text).allMatch(t -> !t.isBlank());
  }

  @Test
  void resultsAreOfTheSourceAndItsHeaders() {
    List<Source> headers = List.of(new Source("a.h", "1"));
    String hash = KernelSources.hash(new Source("k.cu", "x"), headers);
    assertThat(hash).hasSize(24);
    assertThat(KernelSources.hash(new Source("k.cu", "y"), headers)).isNotEqualTo(hash);
    assertThat(KernelSources.hash(new Source("k.cu", "x"), List.of(new Source("a.h", "2"))))
        .isNotEqualTo(hash);
  }

  /** Goal: what is kept is used in place of a compiler. */
  @Test
  void resultsAreKept() {
    Source kernel = new Source("k.cu", "not C++ at all");
    KernelCache cache = cache(1 << 20);
    cache.put("90-13.0-" + KernelSources.hash(kernel, List.of()), new byte[] {5});
    Found found = KernelCompiler.compile(List.of(kernel), List.of(), 90, "13.0", cache);
    assertThat(found.problem()).isNull();
    assertThat(found.images()).containsExactly(new byte[] {5});
    Found other = KernelCompiler.compile(List.of(kernel), List.of(), 80, "13.0", cache);
    assertThat(other.images()).isEmpty();
    assertThat(other.problem()).isNotBlank();
  }

  @Test
  void theLeastUsedResultsGoFirstAndNothingElseDoes() throws IOException {
    KernelCache cache = cache(250);
    byte[] image = new byte[100];
    cache.put("a", image);
    cache.put("b", image);
    Files.setLastModifiedTime(folder.resolve("c/a.cubin"), FileTime.fromMillis(1000));
    Files.setLastModifiedTime(folder.resolve("c/b.cubin"), FileTime.fromMillis(2000));
    assertThat(cache.get("a")).isPresent();
    Files.writeString(folder.resolve("c/notes.txt"), "mine");
    cache.put("c", image);
    assertThat(cache.get("b")).isEmpty();
    assertThat(cache.get("a")).isPresent();
    assertThat(cache.get("c")).isPresent();
    try (Stream<Path> files = Files.list(folder.resolve("c"))) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder("a.cubin", "c.cubin", "notes.txt");
    }
  }

  @Test
  void aFolderThatCannotBeWrittenOnlyCostsTime() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    KernelCache cache = new KernelCache(file.resolve("under"), 100);
    cache.put("a", new byte[1]);
    assertThat(cache.get("a")).isEmpty();
  }

  /** Goal: every kernel compiles without any header of CUDA. Needs NVRTC; else it is skipped. */
  @Test
  void everyKernelCompilesForTheFirstAndTheLatestArchitecture() {
    Assumptions.assumeTrue(compiles(), "no NVRTC: set " + CudaLibraries.NVRTC.variable());
    for (int architecture : new int[] {80, 90}) {
      Found found =
          KernelCompiler.compile(
              KernelSources.kernels(),
              KernelSources.headers(),
              architecture,
              "test",
              cache(KernelCache.BYTES_MAX));
      assertThat(found.problem()).isNull();
      assertThat(found.images()).hasSameSizeAs(KernelSources.kernels());
      for (byte[] image : found.images()) assertThat(image).startsWith(0x7f, 'E', 'L', 'F');
    }
    Source wrong = new Source("wrong.cu", "__device__ int f() { return y; }");
    assertThat(
            KernelCompiler.compile(List.of(wrong), List.of(), 90, "test", cache(1 << 20)).problem())
        .contains("cannot compile wrong.cu", "wrong.cu(1)", "\"y\"");
  }

  private KernelCache cache(long bytes) {
    return new KernelCache(folder.resolve("c"), bytes);
  }
}
