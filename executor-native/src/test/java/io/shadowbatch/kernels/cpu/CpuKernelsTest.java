package io.shadowbatch.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Life cycle of the kernels and their threads, memory, and refusals. */
class CpuKernelsTest {
  @Test
  void anUnsupportedInstructionSetIsRefusedWithTheSupportedOnes() {
    for (Isa isa : Isa.values()) {
      if (Isa.supported().contains(isa)) {
        try (CpuKernels k = CpuKernels.open(2, isa)) {
          assertThat(k.describe()).contains(isa.name().toLowerCase(java.util.Locale.ROOT));
        }
      } else {
        assertThatThrownBy(() -> CpuKernels.open(1, isa))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("does not run " + isa)
            .hasMessageContaining("PORTABLE");
      }
    }
  }

  @Test
  void thePropertyForcesAnInstructionSet() {
    String before = System.getProperty(Isa.PROPERTY);
    try {
      System.setProperty(Isa.PROPERTY, "portable");
      try (CpuKernels k = CpuKernels.open(1)) {
        assertThat(k.isa()).isEqualTo(Isa.PORTABLE);
      }
      System.setProperty(Isa.PROPERTY, "sse9");
      assertThatThrownBy(() -> CpuKernels.open(1))
          .hasMessageContaining("'sse9'")
          .hasMessageContaining("portable, avx2, avx512, amx");
    } finally {
      if (before == null) {
        System.clearProperty(Isa.PROPERTY);
      } else {
        System.setProperty(Isa.PROPERTY, before);
      }
    }
  }

  @Test
  void memoryIsZeroedAndAligned() {
    try (CpuKernels k = CpuKernels.open(1)) {
      for (long bytes : new long[] {0, 1, 63, 64, 1000, 5 << 20}) {
        Storage s = k.allocate(bytes);
        assertThat(s.address() % 64).isZero();
        assertThat(s.bytes().capacity()).isEqualTo((int) bytes);
        for (int i = 0; i < bytes; i += 997) assertThat(s.bytes().get(i)).isZero();
        s.close();
        s.close();
      }
      assertThatThrownBy(() -> k.allocate(1L << 31))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("2147483648")
          .hasMessageContaining("use several");
    }
  }

  @Test
  void filesAreMapped(@TempDir Path directory) throws IOException {
    byte[] content = new byte[10000];
    for (int i = 0; i < content.length; i++) content[i] = (byte) i;
    Path file = Files.write(directory.resolve("weights"), content);
    try (CpuKernels k = CpuKernels.open(1)) {
      Storage s = k.map(file, 4096, 5000);
      assertThat(s.address()).isNotZero();
      assertThat(s.bytes().get(10)).isEqualTo(content[4106]);
      assertThatThrownBy(() -> k.map(file, 4096, 6000)).hasMessageContaining("which has 10000");
      assertThatThrownBy(() -> k.map(file, 100, 10)).hasMessageContaining("multiple of 4096");
    }
  }

  @Test
  void aClosedInstanceRefuses() {
    CpuKernels k = CpuKernels.open(2);
    Storage s = k.allocate(64);
    k.close();
    k.close();
    assertThatThrownBy(() -> k.argmax(Tensor.of(s, DType.F32, 1, 4), new int[1]))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("closed");
    s.close();
  }

  @Test
  @Timeout(30)
  void manyShortLivedPoolsComeAndGo() {
    for (int i = 0; i < 1000; i++) {
      try (CpuKernels k = CpuKernels.open(1 + i % 4)) {
        if (i % 10 == 0) assertThat(work(k, 64)).isEqualTo(work(k, 64));
      }
    }
  }

  @Test
  @Timeout(30)
  void enginesInOneProcessDoNotDisturbEachOther() throws Exception {
    int engines = 4;
    ExecutorService executor = Executors.newFixedThreadPool(engines);
    try (CpuKernels alone = CpuKernels.open(1)) {
      int expected = work(alone, 300);
      List<Future<Integer>> results = new ArrayList<>();
      for (int e = 0; e < engines; e++) {
        int threads = 1 + e;
        results.add(
            executor.submit(
                () -> {
                  int wrong = 0;
                  try (CpuKernels k = CpuKernels.open(threads)) {
                    for (int i = 0; i < 50; i++) {
                      if (work(k, 300) != expected) wrong++;
                      if (i % 10 == 0) Thread.sleep(2); // lets the pool fall asleep
                    }
                  }
                  return wrong;
                }));
      }
      for (Future<Integer> r : results) assertThat(r.get(25, TimeUnit.SECONDS)).isZero();
    } finally {
      executor.shutdownNow();
    }
  }

  /** A digest of some work that takes part in the pool. */
  private static int work(Kernels k, int rows) {
    int columns = 256;
    try (Storage x = k.allocate(4L * rows * columns);
        Storage q = k.allocate(k.activationBytes(rows, columns))) {
      Tensor t = Tensor.of(x, DType.F32, rows, columns);
      for (int i = 0; i < rows * columns; i += 3) x.bytes().putFloat(4 * i, (i % 1009) - 500);
      Activations a = k.activations(q, rows, columns);
      k.quantize(t, a);
      int digest = 0;
      for (int i = 0; i < q.byteSize(); i++) digest = 31 * digest + q.bytes().get(i);
      return digest;
    }
  }
}
