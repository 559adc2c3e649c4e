package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.ChunkCopies;
import io.shadowbatch.kernels.ChunkCopies.Place;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.kernels.LowRankKernels;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.cuda.Twins.Ropes;
import io.shadowbatch.kernels.cuda.Twins.Twin;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Keys of low rank on the device have the reference's bits. */
class CudaLowRankTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261123L);
  private static final int LAYERS = 2;

  private final Random random = new Random(SEED);
  private Twins twins;
  private LowRankKernels device;

  @BeforeEach
  void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    twins = new Twins(SEED);
    device = new CudaLowRank(twins.gpu);
  }

  @AfterEach
  void close() {
    if (twins != null) twins.close();
  }

  private LowRankKernels reference() {
    return twins.reference.lowRank();
  }

  private void assertSame(Twin... found) {
    for (Twin t : found) {
      assertThat(twins.bytes(t.device())).isEqualTo(twins.bytes(t.reference()));
    }
  }

  @ParameterizedTest
  @CsvSource({"16,1", "32,3", "80,2", "128,2", "256,1"})
  void plainKeys(int d, int heads) {
    KvLayout layout = new KvLayout(KvCodec.FP16, LAYERS, heads, d);
    Twin[] keys = twins.pages(3, layout.halfBytes(), 1);
    Ropes ropes = twins.ropes(layout, 400);
    Twin out = twins.floats(192, heads * d, 16, 1);
    reference()
        .plainKeys(layout, 1, Twin.references(keys), 128, ropes.reference(), out.reference());
    device.plainKeys(layout, 1, Twin.devices(keys), 128, ropes.device(), out.device());
    assertSame(out);
  }

  @ParameterizedTest
  @CsvSource({"1,16", "63,48", "200,80", "130,192"})
  void gramMatrices(int rows, int width) {
    Twin x = twins.floats(rows, width, 16, 3);
    Twin mean = twins.floats(1, width, 0, 1);
    Tensor expected =
        Tensor.of(twins.reference.allocate(4L * width * width), DType.F32, width, width);
    Tensor found = Tensor.of(twins.gpu.allocateHost(4L * width * width), DType.F32, width, width);
    reference().gram(x.reference(), mean.reference(), expected);
    device.gram(x.device(), mean.device(), found);
    assertThat(twins.bytes(found)).isEqualTo(twins.bytes(expected)); // host memory: it is done
  }

  /** A basis, twice. */
  private record Basis(LowRank reference, LowRank device) {}

  private Basis basis(FactorLayout layout) {
    Twin vectors = twins.halves(layout.rank(), layout.width(), 0.1f);
    Twin mean = twins.floats(1, layout.width(), 0, 1);
    return new Basis(
        new LowRank(vectors.reference(), mean.reference()),
        new LowRank(vectors.device(), mean.device()));
  }

  private Twin[] factors(FactorLayout layout, Basis basis, int pages) {
    Twin x = twins.floats(64 * pages, layout.width(), 16, 1);
    Twin[] factors = twins.emptyPages(pages, layout.pageBytes());
    for (int layer = 0; layer < LAYERS; layer++) {
      reference().project(layout, layer, x.reference(), basis.reference, Twin.references(factors));
      device.project(layout, layer, x.device(), basis.device, Twin.devices(factors));
    }
    return factors;
  }

  @ParameterizedTest
  @CsvSource({"LOWRANK_FP16,1,16", "LOWRANK_FP16,3,160", "LOWRANK_INT8,3,48", "LOWRANK_INT8,5,80"})
  void factorsOfPages(KeyStore store, int heads, int rank) {
    KvLayout kv = new KvLayout(KvCodec.FP16, LAYERS, heads, 64);
    FactorLayout layout = new FactorLayout(kv, store, rank);
    assertSame(factors(layout, basis(layout), 2));
  }

  @ParameterizedTest
  @CsvSource({
    "LOWRANK_FP16,16,8,16",
    "LOWRANK_FP16,32,4,32",
    "LOWRANK_INT8,64,8,48",
    "LOWRANK_FP16,96,16,64",
    "LOWRANK_INT8,128,4,32",
    "LOWRANK_FP16,256,8,16"
  })
  void rebuiltKeys(KeyStore store, int d, int chunk, int rank) {
    KvLayout kv = new KvLayout(KvCodec.FP16, LAYERS, 3, d);
    FactorLayout layout = new FactorLayout(kv, store, rank);
    Basis[] bases = {basis(layout), basis(layout)};
    Twin[][] factors = {factors(layout, bases[0], 2), factors(layout, bases[1], 2)};
    Twin[] keys = twins.pages(3, kv.halfBytes(), 1);
    Ropes ropes = twins.ropes(kv, 300);
    int perPage = 64 / chunk;
    long seed = random.nextLong();
    rebuild(
        reference(),
        layout,
        chunk,
        ropes.reference(),
        list(
            Twin::reference,
            chunk,
            seed,
            new LowRank[] {bases[0].reference, bases[1].reference},
            factors,
            keys,
            perPage));
    rebuild(
        device,
        layout,
        chunk,
        ropes.device(),
        list(
            Twin::device,
            chunk,
            seed,
            new LowRank[] {bases[0].device, bases[1].device},
            factors,
            keys,
            perPage));
    assertSame(keys);
  }

  private static void rebuild(
      LowRankKernels kernels, FactorLayout layout, int chunk, RopeTable rope, KeyChunks chunks) {
    kernels.rebuildKeys(layout, 1, chunks, rope);
    kernels.rebuildKeys(layout, 0, new KeyChunks(chunk), rope); // none
  }

  /** Runs of heads and bases, and chunks of all heads at once; each slot is written once. */
  private static KeyChunks list(
      Function<Twin, Tensor> side,
      int chunk,
      long seed,
      LowRank[] bases,
      Twin[][] factors,
      Twin[] keys,
      int perPage) {
    Random same = new Random(seed);
    KeyChunks chunks = new KeyChunks(chunk);
    for (int head = -1; head < 3; head++) {
      int first = head == -1 ? 2 * perPage : 0; // all heads: slots of the last page
      for (int i = 0; i < (head == -1 ? perPage : 2 * perPage); i++) {
        int b = same.nextInt(5) == 0 ? 1 : 0;
        Tensor page = side.apply(factors[b][same.nextInt(2)]);
        int slot = first + i;
        var source = new KeyChunks.Source(page, same.nextInt(perPage), bases[b]);
        Tensor to = side.apply(keys[slot / perPage]);
        chunks.add(source, same.nextInt(280), to, slot % perPage, head);
      }
    }
    return chunks;
  }

  @ParameterizedTest
  @CsvSource({"16,4", "64,8", "80,16", "128,8"})
  void chunksAreCopiedFromBothSidesOfTheLink(int d, int chunk) {
    KvLayout layout = new KvLayout(KvCodec.FP16, LAYERS, 2, d);
    int perPage = 64 / chunk;
    Twin[] sources = twins.pages(4, layout.halfBytes(), 1);
    Twin[] slots = twins.pages(4, layout.halfBytes(), 1);
    Tensor pinned =
        Tensor.of(
            twins.gpu.allocateHost(layout.halfBytes()), DType.U8, 1, (int) layout.halfBytes());
    pinned.storage().bytes().put(0, twins.bytes(sources[0].reference()));
    ChunkCopies expected = new ChunkCopies(chunk);
    ChunkCopies found = new ChunkCopies(chunk);
    for (int i = 0; i < 4 * perPage; i++) {
      int from = random.nextInt(2);
      int c = random.nextInt(perPage);
      boolean keys = random.nextBoolean();
      int page = i / perPage % 2;
      Tensor values = from == 0 ? pinned : sources[1].device();
      expected.add(
          new Place(keys ? sources[2].reference() : null, sources[from].reference(), c),
          new Place(slots[page].reference(), slots[2 + page].reference(), i % perPage),
          i / perPage / 2);
      found.add(
          new Place(keys ? sources[2].device() : null, values, c),
          new Place(slots[page].device(), slots[2 + page].device(), i % perPage),
          i / perPage / 2);
    }
    reference().fetchChunks(layout, 1, expected);
    device.fetchChunks(layout, 1, found);
    assertSame(slots);
    device.fetchChunks(layout, 0, new ChunkCopies(chunk));
    assertSame(slots);
  }

  @Test
  void aRankBeyondTheMemoryOfABlockIsRefused() {
    KvLayout kv = new KvLayout(KvCodec.FP16, LAYERS, 32, 256);
    FactorLayout layout = new FactorLayout(kv, KeyStore.LOWRANK_FP16, 8192);
    Tensor vectors = nowhere(DType.F16, 8192, 8192);
    LowRank basis = new LowRank(vectors, nowhere(DType.F32, 1, 8192));
    Tensor x = nowhere(DType.F32, 0, 8192);
    assertThatThrownBy(() -> device.project(layout, 0, x, basis, new Tensor[0]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("rank 8192");
  }

  /** Of memory that nobody may touch. */
  private static Tensor nowhere(DType type, int rows, int columns) {
    long bytes = (long) type.bytes() * rows * columns;
    return Tensor.of(new Storage(null, 0, bytes, null), type, rows, columns);
  }
}
