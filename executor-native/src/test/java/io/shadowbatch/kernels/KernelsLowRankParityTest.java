package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Plain keys, Gram matrices, factors and rebuilt keys have the reference's bits. */
class KernelsLowRankParityTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260103L);
  private static final List<KvCodec> CODECS = List.of(KvCodec.INT8, KvCodec.FP16);
  private static final List<KeyStore> STORES =
      List.of(KeyStore.LOWRANK_INT8, KeyStore.LOWRANK_FP16);
  private static final int LAYERS = 2;
  private static Candidates candidates;
  private final Random random = new Random(SEED);

  @BeforeAll
  static void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    candidates = new Candidates();
  }

  @AfterAll
  static void close() {
    candidates.requireCompared(Set.of("plainKeys", "gram", "project", "rebuildKeys"));
    candidates.close();
  }

  @Test
  void plainKeysOfStoredPages() {
    for (KvCodec codec : CODECS) {
      for (int d : new int[] {16, 32, 64, 80, 96, 128, 256}) {
        KvLayout layout = new KvLayout(codec, LAYERS, 3, d);
        int rotary = Math.min(128, d / 32 * 32);
        float[] values = gaussians(3 * 64 * layout.kvHeads() * d, 2, 0);
        candidates.compare(
            "plainKeys",
            codec + " d=" + d,
            a -> {
              Tensor[] pages = filled(a, layout, values);
              Tensor out = a.tensor(192, 3 * d, 16, new float[192 * 3 * d]);
              a.kernels.lowRank().plainKeys(layout, 1, pages, 128, rope(a, rotary), out);
              return Arena.bits(out);
            });
      }
    }
  }

  @Test
  void gramMatrices() {
    for (int width : new int[] {16, 48, 64, 192, 272}) {
      for (int rows : new int[] {1, 63, 64, 65, 200}) {
        float[] x = gaussians(rows * width, 1, 30);
        float[] mean = gaussians(width, 30, 0);
        candidates.compare(
            "gram",
            rows + " x " + width,
            a -> {
              Tensor out = a.tensor(width, width, 16, new float[width * width]);
              a.kernels.lowRank().gram(a.tensor(rows, width, 16, x), a.tensor(1, width, mean), out);
              return Arena.bits(out);
            });
      }
    }
  }

  /** A shape of factors, and how its rows are. */
  private record Factors(FactorLayout layout, float[] x, float[] vectors, float[] mean) {
    LowRank basis(Arena a) {
      int width = layout.width();
      Tensor v = Tensor.of(a.storage(2L * vectors.length), DType.F16, layout.rank(), width);
      for (int i = 0; i < vectors.length; i++) {
        v.storage().bytes().putShort(2 * i, ReferenceMath.toHalf(vectors[i]));
      }
      return new LowRank(v, a.tensor(1, width, mean));
    }

    Tensor[] project(Arena a, LowRank basis) {
      Tensor[] pages = pages(a, x.length / layout.width() / 64, layout.pageBytes());
      for (int layer = 0; layer < LAYERS; layer++) {
        Tensor rows = a.tensor(64 * pages.length, layout.width(), 16, x);
        a.kernels.lowRank().project(layout, layer, rows, basis, pages);
      }
      return pages;
    }
  }

  private Factors factors(KvLayout kv, KeyStore store, int rank, float spread) {
    FactorLayout layout = new FactorLayout(kv, store, rank);
    int width = layout.width();
    return new Factors(
        layout,
        gaussians(2 * 64 * width, spread, spread),
        gaussians(rank * width, 0.1f, 0),
        gaussians(width, spread, 0));
  }

  @Test
  void factorsOfPages() {
    for (KeyStore store : STORES) {
      for (int heads : new int[] {1, 3, 5}) {
        for (int rank : new int[] {16, 48, 64}) {
          KvLayout kv = new KvLayout(KvCodec.FP16, LAYERS, heads, 64);
          compareProject(factors(kv, store, rank, 1));
        }
      }
      for (float spread : new float[] {0f, 1e-30f, 1e5f, 1e25f, 1e38f}) {
        // The sign of what is not a number is the compiler's choice, and sanitizers change it.
        if (spread > 1e20f && Boolean.getBoolean("shadowbatch.sanitized")) continue;
        compareProject(factors(new KvLayout(KvCodec.INT8, LAYERS, 1, 64), store, 32, spread));
      }
    }
  }

  private void compareProject(Factors f) {
    candidates.compare("project", f.layout.toString(), a -> bytes(f.project(a, f.basis(a))));
  }

  @Test
  void rebuiltKeys() {
    for (KvCodec codec : CODECS) {
      for (KeyStore store : STORES) {
        for (int d : new int[] {16, 64, 80, 96, 256}) {
          compareRebuild(factors(new KvLayout(codec, LAYERS, 2, d), store, 32, 1), 8);
        }
        for (int chunk : new int[] {4, 8, 16}) {
          compareRebuild(factors(new KvLayout(codec, LAYERS, 3, 64), store, 48, 1), chunk);
          compareRebuild(factors(new KvLayout(codec, LAYERS, 3, 64), store, 192, 1), chunk);
        }
      }
    }
    KvLayout kv = new KvLayout(KvCodec.INT8, LAYERS, 1, 64);
    for (float spread : new float[] {0f, 1e-30f, 1e4f}) {
      for (KeyStore store : STORES) compareRebuild(factors(kv, store, 32, spread), 8);
    }
  }

  private void compareRebuild(Factors f, int chunkTokens) {
    int perPage = 64 / chunkTokens;
    int[][] items = new int[40][];
    for (int i = 0; i < items.length; i++) {
      int head = random.nextInt(f.layout.kv().kvHeads() + 1) - 1;
      int slot = i % (2 * perPage);
      items[i] = new int[] {random.nextInt(2 * perPage), slot, random.nextInt(300), head};
    }
    candidates.compare(
        "rebuildKeys",
        f.layout + " C=" + chunkTokens,
        a -> bytes(rebuilt(a, f, chunkTokens, items)));
  }

  private static Tensor[] rebuilt(Arena a, Factors f, int chunkTokens, int[][] items) {
    LowRank basis = f.basis(a);
    Tensor[] factors = f.project(a, basis);
    Tensor[] keys = pages(a, 2, (int) f.layout.kv().halfBytes());
    int perPage = 64 / chunkTokens;
    RopeTable rope = rope(a, Math.min(128, f.layout.kv().headDim() / 32 * 32));
    KeyChunks chunks = new KeyChunks(chunkTokens);
    // Chunks of a call go to places of their own: a place written twice would depend on threads.
    for (int[] i : items) {
      if (chunks.size() == 2 * perPage) chunks.clear();
      var source = new KeyChunks.Source(factors[i[0] / perPage], i[0] % perPage, basis);
      chunks.add(source, i[2], keys[i[1] / perPage], i[1] % perPage, i[3]);
      if (chunks.size() == 2 * perPage) a.kernels.lowRank().rebuildKeys(f.layout, 1, chunks, rope);
    }
    a.kernels.lowRank().rebuildKeys(f.layout, 1, chunks, rope);
    return keys;
  }

  /** T15 of the store: a rebuilt chunk is the same whatever else is rebuilt with it. */
  @Test
  void aChunkDoesNotDependOnTheOthersOfItsCall() {
    for (KvCodec codec : CODECS) {
      for (KeyStore store : STORES) {
        Factors f = factors(new KvLayout(codec, LAYERS, 3, 64), store, 64, 1);
        for (Kernels kernels : candidates.all()) {
          try (Arena a = new Arena(kernels)) {
            LowRank basis = f.basis(a);
            Tensor[] factors = f.project(a, basis);
            int[] together = rebuiltBy(a, f, basis, factors, 48);
            for (int step : new int[] {1, 2, 5, 7}) {
              int[] apart = rebuiltBy(a, f, basis, factors, step);
              assertThat(apart).as("%s, %d a call", kernels.describe(), step).isEqualTo(together);
            }
          }
        }
      }
    }
  }

  /** All 16 chunks of two pages, head by head, {@code step} of them in a call. */
  private static int[] rebuiltBy(Arena a, Factors f, LowRank basis, Tensor[] factors, int step) {
    Tensor[] keys = pages(a, 2, (int) f.layout.kv().halfBytes());
    KeyChunks chunks = new KeyChunks(8);
    RopeTable rope = rope(a, 64);
    for (int i = 0; i < 48; i++) {
      int c = i / 3;
      var source = new KeyChunks.Source(factors[c / 8], c % 8, basis);
      chunks.add(source, 8 * c, keys[c / 8], c % 8, i % 3);
      if (chunks.size() == step || i == 47) {
        a.kernels.lowRank().rebuildKeys(f.layout, 0, chunks, rope);
        chunks.clear();
      }
    }
    return bytes(keys);
  }

  @Test
  void rebuildingInOneCallAllHeadsIsRebuildingEach() {
    Factors f = factors(new KvLayout(KvCodec.INT8, LAYERS, 3, 64), KeyStore.LOWRANK_INT8, 64, 1);
    for (Kernels kernels : candidates.all()) {
      try (Arena a = new Arena(kernels)) {
        LowRank basis = f.basis(a);
        Tensor[] factors = f.project(a, basis);
        Tensor[] keys = pages(a, 2, (int) f.layout.kv().halfBytes());
        KeyChunks chunks = new KeyChunks(8);
        for (int c = 0; c < 16; c++) {
          var source = new KeyChunks.Source(factors[c / 8], c % 8, basis);
          chunks.add(source, 8 * c, keys[c / 8], c % 8, KeyChunks.ALL_HEADS);
        }
        kernels.lowRank().rebuildKeys(f.layout, 0, chunks, rope(a, 64));
        assertThat(bytes(keys))
            .as(kernels.describe())
            .isEqualTo(rebuiltBy(a, f, basis, factors, 48));
      }
    }
  }

  private float[] gaussians(int n, float spread, float shift) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = shift + spread * (float) random.nextGaussian();
    return x;
  }

  private static RopeTable rope(Arena a, int rotary) {
    double[] frequencies =
        IntStream.range(0, rotary / 2).mapToDouble(i -> Math.pow(1e4, -2. * i / rotary)).toArray();
    return RopeTable.of(a.kernels, frequencies, 320);
  }

  private static Tensor[] pages(Arena a, int count, int bytes) {
    Tensor[] pages = new Tensor[count];
    for (int i = 0; i < count; i++) pages[i] = Tensor.of(a.storage(bytes), DType.U8, 1, bytes);
    return pages;
  }

  /** Key halves with given keys, stored by the definition in layer 1. */
  private static Tensor[] filled(Arena a, KvLayout layout, float[] values) {
    int d = layout.headDim();
    Tensor[] pages = pages(a, values.length / 64 / layout.kvHeads() / d, (int) layout.halfBytes());
    float[] copy = values.clone();
    for (int i = 0; i < copy.length / d; i++) {
      int token = i / layout.kvHeads();
      new ReferenceTile(layout, pages[token / 64], 1, i % layout.kvHeads())
          .putKey(token % 64, copy, i * d);
    }
    return pages;
  }

  private static int[] bytes(Tensor[] pages) {
    return IntStream.range(0, pages.length)
        .flatMap(
            p ->
                IntStream.range(0, pages[p].columns())
                    .map(i -> pages[p].storage().bytes().get((int) pages[p].at(0, i))))
        .toArray();
  }
}
