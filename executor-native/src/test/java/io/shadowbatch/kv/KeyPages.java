package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Pages with made-up keys, appended as a model would, and the memory of a test. */
final class KeyPages implements AutoCloseable {
  final Kernels kernels;
  final KvLayout layout;
  final RopeTable rope;
  private final List<Storage> storages = new ArrayList<>();

  KeyPages(Kernels kernels, KvLayout layout, int positions) {
    this.kernels = kernels;
    this.layout = layout;
    double[] frequencies =
        IntStream.range(0, layout.headDim() / 2)
            .mapToDouble(i -> Math.pow(1e4, -2. * i / layout.headDim()))
            .toArray();
    this.rope = RopeTable.of(kernels, frequencies, positions);
  }

  int width() {
    return layout.kvHeads() * layout.headDim();
  }

  /**
   * A source of keys: a slow latent of few dimensions with falling strength, its own map to keys
   * and some noise. Keys of one source lie near one space, those of another elsewhere.
   */
  static final class Source {
    private final float[][] map;
    private final float[] latent;
    private final float[] bias;
    private final Random random;

    Source(long seed, int width, int dimensions, float bias) {
      random = new Random(seed);
      map = new float[dimensions][width];
      latent = new float[dimensions];
      this.bias = new float[width];
      for (int i = 0; i < dimensions; i++) {
        for (int j = 0; j < width; j++) map[i][j] = gaussian() / (1 + 0.2f * i);
      }
      for (int j = 0; j < width; j++) this.bias[j] = bias * gaussian();
    }

    private float gaussian() {
      return (float) random.nextGaussian();
    }

    float[][] next(int tokens) {
      float[][] rows = new float[tokens][];
      for (int t = 0; t < tokens; t++) {
        rows[t] = bias.clone();
        for (int i = 0; i < latent.length; i++) {
          latent[i] = 0.9f * latent[i] + 0.44f * gaussian();
          for (int j = 0; j < bias.length; j++) rows[t][j] += latent[i] * map[i][j];
        }
        for (int j = 0; j < bias.length; j++) rows[t][j] += 0.05f * gaussian();
      }
      return rows;
    }
  }

  /** Key halves of rows from a position on, the same rows in all layers. */
  Tensor[] append(float[][] rows, int firstPosition) {
    int n = rows.length;
    int before = firstPosition / KvLayout.TILE;
    Tensor[] keys = pages(before + n / KvLayout.TILE, (int) layout.halfBytes());
    Tensor[] values = pages(keys.length, (int) layout.halfBytes());
    int[] positions = IntStream.range(firstPosition, firstPosition + n).toArray();
    KvView view =
        new KvView(layout, List.of(List.of(KvSegment.dense(keys, values, 0, firstPosition + n))));
    TokenBatch batch =
        new TokenBatch(n, new int[n], positions, List.of(new Slice(0, 0, n)), new int[0]);
    Tensor k = tensor(rows);
    for (int layer = 0; layer < layout.layers(); layer++) {
      AttentionShape shape = new AttentionShape(layout, layout.kvHeads(), 1, 0);
      kernels.append(shape, layer, k, k, batch, view, rope);
    }
    return java.util.Arrays.copyOfRange(keys, before, keys.length);
  }

  Tensor tensor(float[][] rows) {
    int width = rows[0].length;
    Tensor t = Tensor.of(storage(4L * rows.length * width), DType.F32, rows.length, width);
    for (int i = 0; i < rows.length; i++) t.writeRow(i, rows[i]);
    return t;
  }

  /** Keys of pages before RoPE. */
  float[][] plain(int layer, Tensor[] keys, int firstPosition) {
    Tensor out = tensor(new float[KvLayout.TILE * keys.length][width()]);
    kernels.lowRank().plainKeys(layout, layer, keys, firstPosition, rope, out);
    float[][] rows = new float[out.rows()][width()];
    for (int t = 0; t < rows.length; t++) out.readRow(t, rows[t]);
    return rows;
  }

  Tensor[] pages(int count, int bytes) {
    Tensor[] pages = new Tensor[count];
    for (int i = 0; i < count; i++) pages[i] = Tensor.of(storage(bytes), DType.U8, 1, bytes);
    return pages;
  }

  private Storage storage(long bytes) {
    Storage s = kernels.allocate(bytes);
    storages.add(s);
    return s;
  }

  @Override
  public void close() {
    storages.forEach(Storage::close);
    rope.cos().storage().close();
  }
}
