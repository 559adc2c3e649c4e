package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kernels.cuda.Twins.Ropes;
import io.shadowbatch.kernels.cuda.Twins.Twin;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Landmarks and picks of the device are those of the reference. */
class CudaChunksTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);
  private static final int LAYERS = 2;

  private final Random random = new Random(SEED);
  private Twins twins;
  private CudaChunks chunks;

  @BeforeEach
  void open() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    twins = new Twins(SEED);
    chunks = new CudaChunks(twins.gpu);
  }

  @AfterEach
  void close() {
    if (twins != null) twins.close();
  }

  @ParameterizedTest
  @CsvSource({"16,4", "64,8", "80,8", "128,16", "256,8"})
  void landmarksHaveTheBitsOfTheReference(int d, int chunk) {
    KvLayout layout = new KvLayout(KvCodec.FP16, LAYERS, 3, d);
    Twin[] keys = twins.pages(3, layout.halfBytes(), 2);
    Twin[] landmarks = twins.emptyPages(3, new LandmarkLayout(layout, chunk).pageBytes());
    twins.reference.summarise(layout, chunk, Twin.references(keys), Twin.references(landmarks));
    chunks.summarise(layout, chunk, Twin.devices(keys), Twin.devices(landmarks));
    for (Twin page : landmarks) {
      assertThat(twins.bytes(page.device())).isEqualTo(twins.bytes(page.reference()));
    }
  }

  /**
   * What a row picks of its prompt.
   *
   * @param pages of each slice, 0 for a slice that reads everything
   */
  private void comparePicks(int d, int group, int chunk, int[] pages, int budget, int layer) {
    KvLayout layout = new KvLayout(KvCodec.FP16, LAYERS, 2, d);
    AttentionShape shape = new AttentionShape(layout, 2 * group, (float) (1 / Math.sqrt(d)), 0);
    LandmarkLayout landmarks = new LandmarkLayout(layout, chunk);
    List<ChunkView.Chunks> references = new ArrayList<>();
    List<ChunkView.Chunks> devices = new ArrayList<>();
    List<Slice> slices = new ArrayList<>();
    int rows = 0;
    int most = 1;
    for (int s = 0; s < pages.length; s++) {
      slices.add(new Slice(s, rows, 1 + s % 3));
      rows += 1 + s % 3;
      int n = pages[s] * landmarks.chunks();
      Twin[] means = twins.pages(pages[s], landmarks.pageBytes(), 1);
      Twin exact = twins.ints(LAYERS * 2, 5, exact(LAYERS * 2, 5, n));
      boolean dense = pages[s] == 0;
      references.add(
          dense ? null : new ChunkView.Chunks(Twin.references(means), exact.reference(), budget));
      devices.add(dense ? null : new ChunkView.Chunks(Twin.devices(means), exact.device(), budget));
      most = Math.max(most, Math.min(n, budget + 4));
    }
    Ropes ropes = twins.ropes(layout, 200);
    Twin q = twins.floats(rows, 2 * group * d, 16, 1);
    int[] positions = random.ints(rows, 0, 200).toArray();
    TokenBatch batch = new TokenBatch(rows, new int[rows], positions, slices, new int[0]);
    Tensor expected =
        Tensor.of(twins.reference.allocate(8L * rows * (1 + most)), DType.I32, 2 * rows, 1 + most);
    Tensor found =
        Tensor.of(twins.gpu.allocateHost(8L * rows * (1 + most)), DType.I32, 2 * rows, 1 + most);
    twins.reference.selectChunks(
        shape,
        layer,
        q.reference(),
        batch,
        new ChunkView(landmarks, references),
        ropes.reference(),
        new ChunkPicks(expected, chunk));
    ChunkView view = new ChunkView(landmarks, devices);
    for (int again = 0; again < 2; again++) {
      chunks.selectChunks(
          shape, layer, q.device(), batch, view, ropes.device(), new ChunkPicks(found, chunk));
      for (int row = 0; row < 2 * rows; row++) {
        assertThat(ids(found, row)).as("row %d", row).isEqualTo(ids(expected, row));
      }
    }
  }

  private static int[] ids(Tensor table, int row) {
    return IntStream.rangeClosed(0, table.i32(row, 0)).map(i -> table.i32(row, i)).toArray();
  }

  private int[] exact(int rows, int columns, int chunkCount) {
    int[] table = new int[rows * columns];
    for (int row = 0; row < rows && chunkCount > 0; row++) {
      int[] ids =
          IntStream.concat(IntStream.of(0), random.ints(3, 0, chunkCount))
              .sorted()
              .distinct()
              .toArray();
      table[row * columns] = ids.length;
      System.arraycopy(ids, 0, table, row * columns + 1, ids.length);
    }
    return table;
  }

  @ParameterizedTest
  @CsvSource({"64,1,8", "64,3,4", "32,7,8", "128,4,16", "96,2,8", "256,1,4"})
  void picksAreThoseOfTheReference(int d, int group, int chunk) {
    comparePicks(d, group, chunk, new int[] {5, 0, 1, 9}, 11, 1);
  }

  @Test
  void budgetsFromNothingToEverything() {
    for (int budget : new int[] {0, 1, 40, 1000}) {
      comparePicks(32, 3, 8, new int[] {6, 2}, budget, 0);
    }
  }

  @Test
  void moreRowsThanScoresHaveRoomForGoInParts() {
    long rowBytes = 4 * 2 * 3 * 7 * 64; // 2 KV heads of 3 query heads, 7 pages
    for (long bytes : new long[] {1, 3 * rowBytes, 5 * rowBytes}) {
      chunks = new CudaChunks(twins.gpu, bytes);
      comparePicks(16, 3, 8, new int[] {7, 4, 0, 7, 2, 1}, 20, 1);
    }
  }

  @Test
  void pagesThatAreNotOfHalvesAreRefused() {
    KvLayout layout = new KvLayout(KvCodec.INT8, LAYERS, 1, 64);
    assertThatThrownBy(() -> chunks.summarise(layout, 8, new Tensor[0], new Tensor[0]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("INT8")
        .hasMessageContaining("FP16");
  }
}
