package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.HostDraft;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Drives a store as a decoder would, with queries, keys and values that are a function of the
 * tokens up to a position. Keys have a few strong directions and now and then a spike, as real ones
 * do.
 */
final class StoreRig implements AutoCloseable {
  /** Tokens [from, to) of a sequence, computed in one step. */
  record Part(int sequence, int[] tokens, int from, int to) {}

  /** Sizes of a made-up model. */
  record Sizes(KvCodec codec, int layers, int kvHeads, int group, int headDim) {
    List<AttentionShape> shapes() {
      KvLayout layout = new KvLayout(codec, layers, kvHeads, headDim);
      float scale = (float) (1 / Math.sqrt(headDim));
      return Collections.nCopies(layers, new AttentionShape(layout, kvHeads * group, scale, 0));
    }

    KvLayout layout() {
      return shapes().get(0).layout();
    }
  }

  private static final int DIRECTIONS = 6;

  final KvStore store;
  private final Kernels kernels;
  private final HostCopy reading;
  private final HostDraft writing;
  private final Sizes sizes;
  private final float[][] directions;

  StoreRig(Kernels kernels, Sizes sizes, KvStore store) {
    this.kernels = kernels;
    this.reading = new HostCopy(kernels);
    this.writing = new HostDraft(kernels);
    this.sizes = sizes;
    this.store = store;
    int width = sizes.kvHeads * sizes.headDim;
    this.directions = new float[sizes.layers * DIRECTIONS][width];
    Random random = new Random(99);
    for (float[] d : directions) {
      for (int i = 0; i < width; i++) d[i] = (float) random.nextGaussian();
    }
  }

  static RopeTable rope(Kernels kernels, Sizes sizes, int positions) {
    double[] frequencies = new double[sizes.headDim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = Math.pow(10000, -2.0 * i / sizes.headDim);
    }
    return RopeTable.of(kernels, frequencies, positions);
  }

  /** Outputs of all rows and layers of a step, [layers][rows][queryHeads * headDim]. */
  float[][][] step(Part... parts) {
    List<Slice> slices = new ArrayList<>();
    int n = 0;
    for (Part p : parts) {
      if (!store.reserve(p.sequence, p.to)) throw new IllegalStateException("no room");
      slices.add(new Slice(p.sequence, n, p.to - p.from));
      n += p.to - p.from;
    }
    int[] tokens = new int[n];
    int[] positions = new int[n];
    long[] hashes = new long[n];
    int row = 0;
    for (Part p : parts) {
      for (int i = p.from; i < p.to; i++) {
        tokens[row] = p.tokens[i];
        hashes[row] = Arrays.hashCode(Arrays.copyOf(p.tokens, i + 1)) * 31L + i;
        positions[row++] = i;
      }
    }
    TokenBatch batch = new TokenBatch(n, tokens, positions, slices, new int[0]);
    float[][][] result = new float[sizes.layers][][];
    for (int layer = 0; layer < sizes.layers; layer++) result[layer] = layer(layer, batch, hashes);
    return result;
  }

  private float[][] layer(int layer, TokenBatch batch, long[] hashes) {
    int n = batch.size();
    int kvWidth = sizes.kvHeads * sizes.headDim;
    int qWidth = kvWidth * sizes.group;
    Tensor q = floats(n, qWidth);
    Tensor k = floats(n, kvWidth);
    Tensor v = floats(n, kvWidth);
    Tensor out = floats(n, qWidth);
    float[][][] given = new float[3][n][];
    for (int row = 0; row < n; row++) {
      Random random = new Random(hashes[row] * 1000003 + layer);
      given[0][row] = key(random, layer, kvWidth);
      given[1][row] = noise(random, kvWidth, 1);
      given[2][row] = query(random, layer, qWidth);
    }
    write(k, given[0]);
    write(v, given[1]);
    write(q, given[2]);
    store.attend(layer, q, k, v, batch, out);
    float[][] result = new float[n][qWidth];
    Tensor seen = reading.of(out);
    for (int row = 0; row < n; row++) seen.readRow(row, result[row]);
    for (Tensor t : List.of(q, k, v, out)) t.storage().close();
    return result;
  }

  private void write(Tensor tensor, float[][] rows) {
    Tensor draft = writing.of(tensor);
    for (int row = 0; row < rows.length; row++) draft.writeRow(row, rows[row]);
    writing.send();
  }

  private float[] key(Random random, int layer, int width) {
    float[] key = noise(random, width, 0.3f);
    for (int j = 0; j < DIRECTIONS; j++) {
      float weight = (float) random.nextGaussian() * (random.nextInt(40) == 0 ? 5 : 1);
      float[] d = directions[layer * DIRECTIONS + j];
      for (int i = 0; i < width; i++) key[i] += weight * d[i];
    }
    return key;
  }

  private float[] query(Random random, int layer, int width) {
    float[] query = noise(random, width, 0.3f);
    float[] d = directions[layer * DIRECTIONS + random.nextInt(DIRECTIONS)];
    for (int i = 0; i < width; i++) query[i] += 1.5f * d[i % d.length];
    return query;
  }

  private static float[] noise(Random random, int width, float scale) {
    float[] x = new float[width];
    for (int i = 0; i < width; i++) x[i] = scale * (float) random.nextGaussian();
    return x;
  }

  private Tensor floats(int rows, int columns) {
    return Tensor.of(kernels.allocate(4L * rows * columns), DType.F32, rows, columns);
  }

  /** Random tokens. */
  static int[] tokens(Random random, int n) {
    return random.ints(n, 0, 1000).toArray();
  }

  /** The first, then the second. */
  static int[] join(int[] a, int[] b) {
    int[] all = Arrays.copyOf(a, a.length + b.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  @Override
  public void close() {
    store.close();
    reading.close();
    writing.close();
  }
}
