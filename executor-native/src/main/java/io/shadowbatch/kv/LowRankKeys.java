package io.shadowbatch.kv;

import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.HostDraft;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.kernels.ReferenceMath;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Finds the low-rank bases of a prompt's keys, a segment of {@link #SEGMENT_TOKENS} after the
 * other, and writes factor pages. Knows pages and positions, no sequences: the caller decides which
 * pages belong together, keeps bases and shares them.
 *
 * <p>The rule, for answers that do not depend on who else is there: the first basis comes from the
 * first segment, or from all complete pages of a shorter prompt. A whole segment behind it keeps
 * the basis before it, or layers of it, unless the error would be more than 1.25 times that of its
 * own (ShadowKV's authors do the same for generated text, without a test). An incomplete last
 * segment keeps the basis before it. So a basis is a function of the tokens up to the end of the
 * segment that it was found from.
 *
 * <p>For one thread. Eigenvectors of layers are found on threads of its own.
 */
public final class LowRankKeys implements AutoCloseable {
  /** Tokens of a segment: 32 pages. */
  public static final int SEGMENT_TOKENS = 2048;

  private static final int SEGMENT_PAGES = SEGMENT_TOKENS / KvLayout.TILE;

  private final Kernels kernels;
  private final FactorLayout layout;
  private final RopeTable rope;
  private final int threads;
  private final ExecutorService pool;
  private final Storage memory;
  private final Tensor keyRows; // of one layer and segment, before RoPE
  private final Tensor mean;
  private final Storage products;
  private final Tensor gram;
  private final HostCopy reading;
  private final HostDraft writing;

  /**
   * @param layout of a low-rank store
   * @param rope the model's, for all positions of the pages
   * @param threads that find eigenvectors, as many as the kernels have
   */
  public LowRankKeys(Kernels kernels, FactorLayout layout, RopeTable rope, int threads) {
    if (!layout.store().lowRank() || threads < 1) {
      throw new IllegalArgumentException(
          "low-rank keys: store %s with %d threads; LOWRANK_INT8 or LOWRANK_FP16 and 1 are needed"
              .formatted(layout.store(), threads));
    }
    this.kernels = kernels;
    this.layout = layout;
    this.rope = rope;
    this.threads = threads;
    int width = layout.width();
    memory = kernels.allocate(4L * width * (SEGMENT_TOKENS + 1));
    keyRows = Tensor.of(memory, DType.F32, SEGMENT_TOKENS, width);
    mean = new Tensor(memory, 4L * width * SEGMENT_TOKENS, DType.F32, 1, width, width);
    products = kernels.allocateHost(4L * width * width);
    gram = Tensor.of(products, DType.F32, width, width);
    reading = new HostCopy(kernels);
    writing = new HostDraft(kernels);
    pool =
        Executors.newFixedThreadPool(
            threads,
            task -> {
              Thread thread = new Thread(task, "shadowbatch-eigen");
              thread.setDaemon(true);
              return thread;
            });
  }

  /** How factors lie. */
  public FactorLayout layout() {
    return layout;
  }

  /**
   * The basis of a prompt's first segment.
   *
   * @param keys its key halves from position 0, U8 [1, halfBytes]: 32 of them, or all complete ones
   *     of a shorter prompt
   * @throws OutOfMemoryError if the memory of the basis cannot be had
   */
  public LowRankBasis first(Tensor[] keys) {
    requirePages("first", keys.length > 0 && keys.length <= SEGMENT_PAGES, keys, 0);
    return find(null, keys, 0);
  }

  /**
   * The basis of a whole segment behind the first.
   *
   * @param inherited the basis of the segment before it
   * @param keys its 32 key halves
   * @param firstPosition a multiple of {@link #SEGMENT_TOKENS}
   * @return {@code inherited} itself if that serves all layers
   * @throws OutOfMemoryError if the memory of the basis cannot be had
   */
  public LowRankBasis extend(LowRankBasis inherited, Tensor[] keys, int firstPosition) {
    boolean whole = keys.length == SEGMENT_PAGES && firstPosition % SEGMENT_TOKENS == 0;
    requirePages("extend", whole && firstPosition > 0, keys, firstPosition);
    return find(inherited, keys, firstPosition);
  }

  /**
   * Writes the factors of complete pages with consecutive positions.
   *
   * @param keys key halves, U8 [1, halfBytes]
   * @param firstPosition of the first page, a multiple of 64
   * @param factors as many factor pages, U8 [1, layout.pageBytes]
   */
  public void write(LowRankBasis basis, Tensor[] keys, int firstPosition, Tensor[] factors) {
    requirePages("write", keys.length == factors.length, keys, firstPosition);
    for (int from = 0; from < keys.length; from += SEGMENT_PAGES) {
      int to = Math.min(keys.length, from + SEGMENT_PAGES);
      Tensor[] some = Arrays.copyOfRange(keys, from, to);
      Tensor[] into = Arrays.copyOfRange(factors, from, to);
      for (int layer = 0; layer < layout.kv().layers(); layer++) {
        Tensor x = plain(layer, some, firstPosition + from * KvLayout.TILE);
        kernels.lowRank().project(layout, layer, x, basis.layer(layer), into);
      }
    }
  }

  private Tensor plain(int layer, Tensor[] keys, int firstPosition) {
    Tensor x = keyRows.rows(0, keys.length * KvLayout.TILE);
    kernels.lowRank().plainKeys(layout.kv(), layer, keys, firstPosition, rope, x);
    return x;
  }

  private LowRankBasis find(LowRankBasis inherited, Tensor[] keys, int firstPosition) {
    int layers = layout.kv().layers();
    float[][] means = new float[layers][];
    List<float[][]> found = new ArrayList<>();
    // As many layers at a time as there are threads: a Gram matrix in double takes 8 MB at a
    // width of 1024.
    for (int from = 0; from < layers; from += threads) {
      List<Callable<float[][]>> tasks = new ArrayList<>();
      for (int layer = from; layer < Math.min(layers, from + threads); layer++) {
        LayerKeys sums = sums(plain(layer, keys, firstPosition));
        means[layer] = sums.mean();
        LowRank before = inherited == null ? null : readable(inherited.layer(layer));
        tasks.add(() -> before == null ? sums.fit(layout.rank()) : sums.fitUnless(before));
      }
      found.addAll(results(tasks));
    }
    int own = 0;
    for (float[][] vectors : found) own += vectors == null ? 0 : 1;
    if (own == 0) return inherited;
    Storage storage = kernels.allocate((long) own * layout.layerBasisBytes());
    LowRank[] result = new LowRank[layers];
    long at = 0;
    for (int layer = 0; layer < layers; layer++) {
      if (found.get(layer) == null) {
        result[layer] = inherited.layer(layer);
      } else {
        result[layer] = stored(storage, at, found.get(layer), means[layer]);
        at += layout.layerBasisBytes();
      }
    }
    return new LowRankBasis(result, storage);
  }

  private LayerKeys sums(Tensor x) {
    int width = layout.width();
    double[] sum = new double[width];
    float[] row = new float[width];
    Tensor keys = reading.of(x);
    for (int t = 0; t < x.rows(); t++) {
      keys.readRow(t, row);
      for (int j = 0; j < width; j++) sum[j] += row[j];
    }
    float[] average = new float[width];
    for (int j = 0; j < width; j++) average[j] = (float) (sum[j] / x.rows());
    writing.of(mean).writeRow(0, average);
    writing.send();
    kernels.lowRank().gram(x, mean, gram);
    double[] sums = new double[width * width];
    for (int i = 0; i < width; i++) {
      gram.readRow(i, row);
      for (int j = 0; j < width; j++) sums[i * width + j] = row[j];
    }
    return new LayerKeys(x.rows(), average, sums);
  }

  /** The basis of a layer where threads that find others can read it. */
  private LowRank readable(LowRank basis) {
    if (basis.vectors().storage().bytes() != null) return basis;
    return new LowRank(kept(basis.vectors()), kept(basis.mean()));
  }

  private Tensor kept(Tensor tensor) {
    Tensor copy = reading.of(tensor);
    int bytes = tensor.rows() * tensor.columns() * tensor.dtype().bytes();
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    buffer.put(0, copy.storage().bytes(), (int) copy.byteOffset(), bytes);
    Storage heap = new Storage(buffer, 0, bytes, null);
    return Tensor.of(heap, tensor.dtype(), tensor.rows(), tensor.columns());
  }

  private List<float[][]> results(List<Callable<float[][]>> tasks) {
    List<float[][]> results = new ArrayList<>();
    try {
      for (Future<float[][]> f : pool.invokeAll(tasks)) results.add(f.get());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("low-rank keys: interrupted while a basis was found", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException("low-rank keys: a basis could not be found", e.getCause());
    }
    return results;
  }

  private LowRank stored(Storage storage, long at, float[][] vectors, float[] average) {
    int rank = layout.rank();
    int width = layout.width();
    Tensor m = new Tensor(storage, at, DType.F32, 1, width, width);
    Tensor v = new Tensor(storage, at + 4L * width, DType.F16, rank, width, width);
    writing.of(m).writeRow(0, average);
    writing.send();
    Tensor halves = writing.of(v);
    for (int i = 0; i < rank; i++) {
      for (int j = 0; j < width; j++) {
        short half = ReferenceMath.toHalf(vectors[i][j]);
        halves.storage().bytes().putShort((int) halves.at(i, j), half);
      }
    }
    writing.send();
    return new LowRank(v, m);
  }

  private static void requirePages(String what, boolean fits, Tensor[] keys, int firstPosition) {
    if (!fits) {
      throw new IllegalArgumentException(
          ("low-rank keys, %s: %d pages from position %d; a first segment has 1..%d pages, a later"
                  + " one exactly %d and a position that is a multiple of %d, factors as many pages"
                  + " as keys")
              .formatted(
                  what, keys.length, firstPosition, SEGMENT_PAGES, SEGMENT_PAGES, SEGMENT_TOKENS));
    }
  }

  @Override
  public void close() {
    pool.shutdownNow();
    memory.close();
    products.close();
    reading.close();
    writing.close();
  }
}
