package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.cpu.Isa;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Every operation but attention gives the reference's bits on every instruction set. */
class KernelsParityTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260101L);
  private static final int[] SIZES = {1, 3, 8, 13, 31, 64, 100, 257};
  private static final Set<String> MUST =
      Set.of(
          "embed", "rmsNorm", "headNorm", "quantize", "matmul", "swiGlu", "gatherRows", "argmax");

  private static Candidates candidates;
  private final Random random = new Random(SEED);

  @BeforeAll
  static void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    candidates = new Candidates();
  }

  @AfterAll
  static void close() {
    candidates.requireCompared(MUST);
    candidates.close();
  }

  /** The processor's flags, read by someone else than the library, say what must be there. */
  @Test
  void everyInstructionSetOfTheProcessorIsSupported() throws IOException {
    Path cpuinfo = Path.of("/proc/cpuinfo");
    if (!Files.exists(cpuinfo)) return;
    Set<String> flags = Set.of();
    for (String line : Files.readAllLines(cpuinfo)) {
      if (line.startsWith("flags")) flags = Set.of(line.split(":\\s*")[1].split(" "));
      if (!flags.isEmpty()) break;
    }
    assertThat(Isa.supported()).contains(Isa.PORTABLE);
    if (flags.containsAll(Set.of("avx2", "fma", "f16c"))) {
      assertThat(Isa.supported()).contains(Isa.AVX2);
    }
    if (flags.containsAll(Set.of("avx2", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"))) {
      assertThat(Isa.supported()).contains(Isa.AVX512);
      if (flags.containsAll(Set.of("amx_tile", "amx_int8"))) {
        assertThat(Isa.supported()).contains(Isa.AMX);
      }
    }
  }

  /** Kinds of numbers: ordinary, with outliers, and extremes. */
  private enum Kind {
    NORMAL,
    OUTLIERS,
    ZEROS,
    HUGE,
    TINY,
    ALTERNATING,
    EQUAL
  }

  private float[] floats(int n, Kind kind) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      float g = (float) random.nextGaussian();
      x[i] =
          switch (kind) {
            case NORMAL -> g;
            case OUTLIERS -> i % 37 == 5 ? 300 * g : g;
            case ZEROS -> i % 3 == 0 ? -0f : 0f;
            case HUGE -> 1e37f * g;
            case TINY -> 1e-39f * g;
            case ALTERNATING -> i % 2 == 0 ? Math.abs(g) : -Math.abs(g);
            case EQUAL -> i % 5 < 2 ? -3.5f : 3.5f;
          };
    }
    return x;
  }

  @Test
  void quantize() {
    for (Kind kind : Kind.values()) {
      for (int n : SIZES) {
        for (int m : new int[] {1, 3, 70}) {
          float[] x = floats(m * n, kind);
          candidates.compare(
              "quantize",
              "%s [%d,%d]".formatted(kind, m, n),
              a -> {
                Activations out = a.activations(m, n);
                a.kernels.quantize(a.tensor(m, n, 3, x), out);
                return Arena.bits(out);
              });
        }
      }
    }
  }

  @Test
  void rmsNorm() {
    for (Kind kind : Kind.values()) {
      for (int n : new int[] {16, 48, 64, 112, 576, 1536}) {
        for (int m : new int[] {1, 13, 64}) {
          float[] x = floats(m * n, kind);
          float[] w = floats(n, Kind.NORMAL);
          candidates.compare(
              "rmsNorm",
              "%s [%d,%d]".formatted(kind, m, n),
              a -> {
                Activations out = a.activations(m, n);
                a.kernels.rmsNorm(a.tensor(m, n, x), a.tensor(1, n, w), 1e-5f, out);
                return Arena.bits(out);
              });
        }
      }
    }
  }

  @Test
  void headNorm() {
    for (Kind kind : Kind.values()) {
      for (int d : new int[] {16, 80, 128}) {
        for (int m : new int[] {1, 31, 200}) {
          int n = 3 * d;
          float[] x = floats(m * n, kind);
          float[] w = floats(d, Kind.NORMAL);
          candidates.compare(
              "headNorm",
              "%s [%d,%d]".formatted(kind, m, d),
              a -> {
                Tensor t = a.tensor(m, n, 5, x);
                a.kernels.headNorm(t, d, a.tensor(1, d, w), 1e-6f);
                return Arena.bits(t);
              });
        }
      }
    }
  }

  @Test
  void swiGlu() {
    for (Kind kind : Kind.values()) {
      for (int f : new int[] {32, 96, 1536}) {
        for (int m : new int[] {1, 8, 40}) {
          float[] x = floats(m * 2 * f, kind);
          candidates.compare(
              "swiGlu",
              "%s [%d,%d]".formatted(kind, m, f),
              a -> {
                Activations out = a.activations(m, f);
                a.kernels.swiGlu(a.tensor(m, 2 * f, x), out);
                return Arena.bits(out);
              });
        }
      }
    }
  }

  @Test
  void matmulOverOddSizes() {
    for (int m : SIZES) {
      for (int n : SIZES) {
        for (int k : new int[] {1, 31, 64, 100, 257}) {
          if (random.nextInt(100) < 50 && m > 31) continue;
          matmul(m, n, k, Kind.OUTLIERS, random.nextBoolean(), random.nextBoolean());
        }
      }
    }
  }

  @Test
  void matmulOfEveryRowCountUpToSeventy() {
    for (int m = 1; m <= 70; m++) matmul(m, 40, 96, Kind.NORMAL, false, m % 2 == 0);
  }

  @Test
  void matmulOfExtremes() {
    for (Kind kind : Kind.values()) matmul(101, 65, 576, kind, true, false);
  }

  @Test
  void matmulOfModelShapes() {
    matmul(130, 96, 576, Kind.OUTLIERS, false, true);
    matmul(100, 64, 4864, Kind.OUTLIERS, false, false);
    matmul(1000, 32, 64, Kind.NORMAL, false, false);
    matmul(2, 3072, 576, Kind.NORMAL, false, false);
  }

  private void matmul(int m, int n, int k, Kind kind, boolean bias, boolean add) {
    float[] x = floats(m * k, kind);
    byte[] w = Arena.packedBytes(random, n, k, kind == Kind.EQUAL);
    float[] b = floats(n, Kind.NORMAL);
    float[] before = floats(m * n, Kind.NORMAL);
    candidates.compare(
        "matmul",
        "%s [%d,%d] x [%d], bias %s, add %s".formatted(kind, m, k, n, bias, add),
        a -> {
          // One row more than the product has, and a gap behind the rows of the output.
          Activations q = a.activations(m + 1, k);
          a.kernels.quantize(a.tensor(m, k, x), q);
          Tensor out = a.tensor(m, n, 7, before);
          a.kernels.matmul(
              q,
              a.packed(n, k, w),
              bias ? a.tensor(1, n, b) : null,
              out,
              add ? Kernels.Store.ADD : Kernels.Store.SET);
          Tensor whole =
              new Tensor(out.storage(), 0, out.dtype(), m, n + 7, n + 7); // the gap is untouched
          return Arena.bits(whole);
        });
  }

  @Test
  void aRowDoesNotDependOnTheBatch() {
    int k = 576;
    int n = 200;
    int m = 257;
    float[] x = floats(m * k, Kind.OUTLIERS);
    byte[] w = Arena.packedBytes(random, n, k, false);
    for (Kernels kernels : candidates.all()) {
      try (Arena a = new Arena(kernels)) {
        Activations q = a.activations(m, k);
        kernels.quantize(a.tensor(m, k, x), q);
        PackedMatrix matrix = a.packed(n, k, w);
        Tensor together = a.zeros(m, n);
        kernels.matmul(q, matrix, null, together, Kernels.Store.SET);
        Tensor alone = a.zeros(m, n);
        for (int i = 0; i < m; i++) {
          kernels.matmul(q.rows(i, i + 1), matrix, null, alone.rows(i, i + 1), Kernels.Store.SET);
        }
        assertThat(Arena.bits(alone)).as(kernels.describe()).isEqualTo(Arena.bits(together));
      }
    }
  }

  @Test
  void embed() {
    for (int k : new int[] {1, 16, 31, 100, 576}) {
      int rows = 77;
      byte[] w = Arena.packedBytes(random, rows, k, false);
      for (int m : new int[] {1, 3, 100}) {
        int[] ids = random.ints(m, 0, rows).toArray();
        candidates.compare(
            "embed",
            "[%d,%d]".formatted(m, k),
            a -> {
              Tensor out = a.tensor(m, k, 2, new float[m * k]);
              a.kernels.embed(a.packed(rows, k, w), ids, m, out);
              return Arena.bits(out);
            });
      }
    }
  }

  @Test
  void gatherRows() {
    for (int n : SIZES) {
      float[] x = floats(50 * n, Kind.NORMAL);
      int[] rows = random.ints(130, 0, 50).toArray();
      candidates.compare(
          "gatherRows",
          "[130,%d]".formatted(n),
          a -> {
            Tensor out = a.tensor(130, n, 1, new float[130 * n]);
            a.kernels.gatherRows(a.tensor(50, n, 3, x), rows, 130, out);
            return Arena.bits(out);
          });
    }
  }

  @Test
  void argmaxTakesTheLowestOfEqualsAndSkipsNaN() {
    for (int n : new int[] {1, 3, 15, 16, 17, 100, 1000}) {
      for (int kind = 0; kind < 6; kind++) {
        float[] x = new float[40 * n];
        for (int i = 0; i < x.length; i++) {
          x[i] =
              switch (kind) {
                case 0 -> (float) random.nextGaussian();
                case 1 -> random.nextInt(3);
                case 2 -> random.nextInt(4) == 0 ? Float.NaN : random.nextInt(5) - 9;
                case 3 -> Float.NaN;
                case 4 -> random.nextBoolean() ? Float.NEGATIVE_INFINITY : Float.NaN;
                default -> random.nextBoolean() ? 0f : -0f;
              };
        }
        candidates.compare(
            "argmax",
            "kind %d [40,%d]".formatted(kind, n),
            a -> {
              int[] ids = new int[40];
              a.kernels.argmax(a.tensor(40, n, 1, x), ids);
              return ids;
            });
      }
    }
  }
}
