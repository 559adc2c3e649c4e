package io.shadowbatch.bench;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cpu.Peak;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Times reading by picked chunks against reading everything: one row behind a long prompt, one
 * thread, best CPU time of many layers in turn, so that each finds its keys in memory and not in
 * caches, as in a model.
 *
 * <pre>ChunkBench [budget tokens [exact chunks]]</pre>
 */
public final class ChunkBench {
  private static final int CHUNK = 8;
  private static final int LAYERS = 30;
  private static final int TAIL = 64;
  private static final int ROUNDS = 40;

  private final CpuKernels kernels = CpuKernels.open(1);
  private final Random random = new Random(1);
  private final List<Storage> storages = new ArrayList<>();

  private final AttentionShape shape;
  private final int prompt;
  private final TokenBatch row;
  private final RopeTable rope;
  private final Tensor[] keys;
  private final Tensor[] values;
  private final Tensor[] landmarks;

  private ChunkBench(KvCodec codec, int queryHeads, int kvHeads, int prompt) {
    KvLayout layout = new KvLayout(codec, LAYERS, kvHeads, 64);
    this.shape = new AttentionShape(layout, queryHeads, 0.125f, 0);
    this.prompt = prompt;
    int tokens = prompt + TAIL;
    int[] position = {tokens - 1};
    this.row = new TokenBatch(1, new int[1], position, List.of(new Slice(0, 0, 1)), new int[0]);
    this.rope = RopeTable.of(kernels, new double[32], tokens);
    this.keys = pages(tokens / KvLayout.TILE, layout.halfBytes());
    this.values = pages(tokens / KvLayout.TILE, layout.halfBytes());
    LandmarkLayout to = new LandmarkLayout(layout, CHUNK);
    this.landmarks = pages(prompt / KvLayout.TILE, to.pageBytes());
    fill(tokens);
  }

  public static void main(String[] args) {
    int budget = args.length > 0 ? Integer.parseInt(args[0]) : 512;
    int exact = args.length > 1 ? Integer.parseInt(args[1]) : 17;
    int[][] shapes = {{9, 3}, {14, 2}};
    for (int[] heads : shapes) {
      for (int prompt : new int[] {4096, 8192}) {
        for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
          new ChunkBench(codec, heads[0], heads[1], prompt).report(budget, exact);
        }
      }
    }
  }

  private void report(int budget, int exactChunks) {
    KvLayout layout = shape.layout();
    int n = prompt / CHUNK;
    int heads = layout.kvHeads();
    int width = shape.queryHeads() * layout.headDim();
    Tensor q = floats(1, width);
    Tensor out = floats(1, width);
    Tensor exact = ints(LAYERS * heads, 1 + exactChunks);
    for (int i = 0; i < exact.rows(); i++) put(exact, i, exactChunks, n);
    int most = exactChunks + budget / CHUNK;
    ChunkPicks picks = new ChunkPicks(ints(heads, 1 + most), CHUNK);
    ChunkView view =
        new ChunkView(
            new LandmarkLayout(layout, CHUNK),
            List.of(new ChunkView.Chunks(landmarks, exact, budget / CHUNK)));
    KvView all = new KvView(layout, List.of(List.of(dense(0))));
    int whole = prompt / KvLayout.TILE;
    KvSegment picked =
        KvSegment.picked(Arrays.copyOf(keys, whole), Arrays.copyOf(values, whole), prompt, picks);
    KvView sparse = new KvView(layout, List.of(List.of(picked, dense(prompt))));
    double[] seconds = {1, 1, 1};
    for (int i = 0; i < ROUNDS * LAYERS; i++) {
      int layer = i % LAYERS;
      time(seconds, 0, () -> kernels.attend(shape, layer, q, row, all, rope, out, null));
    }
    for (int i = 0; i < ROUNDS * LAYERS; i++) {
      int layer = i % LAYERS;
      time(seconds, 1, () -> kernels.selectChunks(shape, layer, q, row, view, rope, picks));
    }
    for (int i = 0; i < ROUNDS * LAYERS; i++) {
      int layer = i % LAYERS;
      for (int h = 0; h < heads; h++) put(picks.ids(), h, most, n);
      time(seconds, 2, () -> kernels.attend(shape, layer, q, row, sparse, rope, out, null));
    }
    System.out.printf(
        "%-18s %2d over %d heads of 64, %-4s prompt %5d, budget %4d + %d exact chunks:"
            + " dense %6.1f us, select %5.1f us, picked %5.1f us a layer, %.1fx%n",
        kernels.describe(),
        shape.queryHeads(),
        heads,
        layout.codec(),
        prompt,
        budget,
        exactChunks,
        seconds[0] * 1e6,
        seconds[1] * 1e6,
        seconds[2] * 1e6,
        seconds[0] / (seconds[1] + seconds[2]));
    storages.forEach(Storage::close);
    kernels.close();
  }

  /** The best round, of all layers: their mean. */
  private void time(double[] best, int what, Runnable call) {
    double start = Peak.threadSeconds();
    call.run();
    rounds[what] += Peak.threadSeconds() - start;
    if (++calls[what] % LAYERS != 0) return;
    best[what] = Math.min(best[what], rounds[what] / LAYERS);
    rounds[what] = 0;
  }

  private final double[] rounds = new double[3];
  private final int[] calls = new int[3];

  private KvSegment dense(int from) {
    int first = from / KvLayout.TILE;
    return KvSegment.dense(
        Arrays.copyOfRange(keys, first, keys.length),
        Arrays.copyOfRange(values, first, values.length),
        from,
        prompt + TAIL - from);
  }

  /** A count and that many drawn ids below n, ascending. */
  private void put(Tensor ids, int row, int count, int n) {
    int[] drawn = random.ints(0, n).distinct().limit(count).sorted().toArray();
    ids.setI32(row, 0, count);
    for (int i = 0; i < count; i++) ids.setI32(row, 1 + i, drawn[i]);
  }

  private void fill(int tokens) {
    int width = shape.layout().kvHeads() * shape.layout().headDim();
    int[] positions = new int[tokens];
    for (int i = 0; i < tokens; i++) positions[i] = i;
    TokenBatch all =
        new TokenBatch(
            tokens, new int[tokens], positions, List.of(new Slice(0, 0, tokens)), new int[0]);
    KvView view = new KvView(shape.layout(), List.of(List.of(dense(0))));
    Tensor k = floats(tokens, width);
    Tensor v = floats(tokens, width);
    for (int layer = 0; layer < LAYERS; layer++) {
      kernels.append(shape, layer, k, v, all, view, rope);
    }
    Tensor[] whole = Arrays.copyOf(keys, landmarks.length);
    kernels.summarise(shape.layout(), CHUNK, whole, landmarks);
  }

  private Tensor[] pages(int count, long bytes) {
    Storage s = storage(count * bytes);
    Tensor[] pages = new Tensor[count];
    for (int i = 0; i < count; i++) {
      pages[i] = new Tensor(s, i * bytes, DType.U8, 1, (int) bytes, (int) bytes);
    }
    return pages;
  }

  private Tensor ints(int rows, int columns) {
    return Tensor.of(storage(4L * rows * columns), DType.I32, rows, columns);
  }

  private Tensor floats(int rows, int columns) {
    Tensor t = Tensor.of(storage(4L * rows * columns), DType.F32, rows, columns);
    for (int i = 0; i < rows * columns; i++) {
      t.storage().bytes().putFloat(4 * i, (float) random.nextGaussian());
    }
    return t;
  }

  private Storage storage(long bytes) {
    Storage s = kernels.allocate(bytes);
    storages.add(s);
    return s;
  }
}
