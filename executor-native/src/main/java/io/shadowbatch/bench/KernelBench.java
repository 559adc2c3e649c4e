package io.shadowbatch.bench;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cpu.Isa;
import io.shadowbatch.kernels.cpu.Peak;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Times the CPU kernels against what one core can do and prints an aligned line for each result.
 * One thread is timed by its CPU time, several by the clock; the best of several rounds counts.
 *
 * <pre>[-Dshadowbatch.bench=product|attention|rows] KernelBench [threads [isa ..]]</pre>
 */
public final class KernelBench implements AutoCloseable {
  private static final long SEED = 1;
  private static final int[] ROWS = {1, 4, 8, 16, 32, 64, 256, 1024};
  private static final int[][] SHAPES = {{3072, 576}, {576, 1536}, {49152, 576}};
  private static final int COLD_ROWS_MAX = 64;
  private static final long COLD_BYTES = 120L << 20;
  private static final double ROUND_SECONDS = 0.3;

  /** Of 12 instructions for a group and vector of 16 outputs, 8 are vpdpbusd. */
  private static final double DOT_LIMIT = 8.0 / 12.0;

  /** Where the conversion to floats does not take a multiplier's place (AMD). */
  private static final double DOT_LIMIT_APART = 8.0 / 11.0;

  private final CpuKernels kernels;
  private final int threads;
  private final double dotPeak;
  private final double tilePeak;
  private final Random random = new Random(SEED);
  private final List<Storage> storages = new ArrayList<>();

  private KernelBench(Isa isa, int threads, double dotPeak, double tilePeak) {
    this.kernels = CpuKernels.open(threads, isa);
    this.threads = threads;
    this.dotPeak = dotPeak;
    this.tilePeak = tilePeak;
  }

  public static void main(String[] args) {
    String parts = System.getProperty("shadowbatch.bench", "product attention rows");
    int most = args.length > 0 ? Integer.parseInt(args[0]) : 2;
    List<Isa> isas = new ArrayList<>();
    for (int i = 1; i < args.length; i++) isas.add(Isa.valueOf(args[i].toUpperCase(Locale.ROOT)));
    if (isas.isEmpty()) {
      for (Isa isa : Isa.supported()) if (isa.compareTo(Isa.AVX512) >= 0) isas.add(isa);
    }
    if (isas.isEmpty()) isas.add(Isa.preferred());
    double dot = Peak.DOT.measure();
    double tile = Peak.TILE.measure();
    System.out.printf(
        "peaks of one core: vpdpbusd %.0f GOP/s, tdpbsud %.0f GOP/s, fma %.0f GF/s, "
            + "read %.1f GB/s%n",
        dot / 1e9, tile / 1e9, Peak.FLOAT.measure() / 1e9, Peak.READ.measure() / 1e9);
    System.out.printf(
        "limit of the vpdpbusd product with scale and min: %.0f GOP/s (%.1f %%), "
            + "%.0f (%.1f %%) where conversions have units of their own%n",
        dot * DOT_LIMIT / 1e9, 100 * DOT_LIMIT, dot * DOT_LIMIT_APART / 1e9, 100 * DOT_LIMIT_APART);
    for (Isa isa : isas) {
      for (int threads = 1; threads <= most; threads += Math.max(1, most - 1)) {
        try (KernelBench bench = new KernelBench(isa, threads, dot, tile)) {
          if (parts.contains("product")) bench.products();
          if (parts.contains("attention")) bench.attention();
          if (parts.contains("rows")) bench.rowOperations();
        }
      }
    }
  }

  private void products() {
    for (int[] shape : SHAPES) {
      for (int rows : ROWS) {
        if ((long) rows * shape[0] > 256L * 49152) continue;
        product(rows, shape[0], shape[1]);
        free();
      }
    }
  }

  private void product(int m, int n, int k) {
    long bytes = PackedMatrix.byteSize(PackedMatrix.Form.U8_GROUP32, n, k);
    boolean cold = m <= COLD_ROWS_MAX;
    int copies = cold ? (int) (COLD_BYTES / bytes + 1) : 1;
    PackedMatrix[] weights = new PackedMatrix[copies];
    for (int i = 0; i < copies; i++) weights[i] = weights(n, k, bytes);
    Activations x = kernels.activations(storage(kernels.activationBytes(m, k)), m, k);
    kernels.quantize(floats(m, k), x);
    Tensor out = Tensor.of(storage(4L * m * n), DType.F32, m, n);
    int[] turn = {0};
    double seconds =
        best(() -> kernels.matmul(x, weights[turn[0]++ % copies], null, out, Kernels.Store.SET));
    double rate = 2.0 * m * n * k / seconds;
    System.out.printf(
        "%-22s product   N %5d K %4d M %4d %-4s %9.1f us %6.0f GOP/s, %3.0f %% of vpdpbusd, "
            + "%3.0f %% of tdpbsud, weights %5.1f GB/s%n",
        kernels.describe(),
        n,
        k,
        m,
        cold ? "cold" : "warm",
        seconds * 1e6,
        rate / 1e9,
        share(rate, dotPeak),
        share(rate, tilePeak),
        bytes / seconds / 1e9);
  }

  /** Per cent of what all threads could do; 0 where there is no such instruction. */
  private double share(double rate, double peak) {
    return peak == 0 ? 0 : 100 * rate / (peak * threads);
  }

  private void attention() {
    int[][] cases = {{1, 512}, {1, 4096}, {32, 512}, {32, 1536}, {256, 0}, {256, 1536}};
    for (int[] c : cases) {
      double[] seconds = new double[2];
      for (KvCodec codec : List.of(KvCodec.FP16, KvCodec.INT8)) {
        int i = codec == KvCodec.INT8 ? 1 : 0;
        seconds[i] = attend(codec, c[0], c[1], c[0] == 32);
        free();
      }
      System.out.printf(
          "%-22s attention S %4d %-22s fp16 %8.1f us, int8 %8.1f us, %.2fx%n",
          kernels.describe(),
          c[1],
          c[0] == 32 ? "32 sequences" : c[0] + " rows of a sequence",
          seconds[0] * 1e6,
          seconds[1] * 1e6,
          seconds[0] / seconds[1]);
    }
  }

  /** The operations around the products, for 256 rows of a model of width 576. */
  private void rowOperations() {
    int rows = 256;
    Activations narrow =
        kernels.activations(storage(kernels.activationBytes(rows, 576)), rows, 576);
    Activations wide =
        kernels.activations(storage(kernels.activationBytes(rows, 1536)), rows, 1536);
    Tensor x = floats(rows, 576);
    Tensor weight = floats(1, 576);
    Tensor gateUp = floats(rows, 3072);
    int[] ids = new int[rows];
    report("rmsNorm 256 x 576", best(() -> kernels.rmsNorm(x, weight, 1e-5f, narrow)));
    report("quantize 256 x 576", best(() -> kernels.quantize(x, narrow)));
    report("swiGlu 256 x 1536", best(() -> kernels.swiGlu(gateUp, wide)));
    report("argmax 256 x 3072", best(() -> kernels.argmax(gateUp, ids)));
    for (KvCodec codec : List.of(KvCodec.FP16, KvCodec.INT8)) {
      AttentionShape shape = new AttentionShape(new KvLayout(codec, 1, 3, 64), 9, 0.125f, 0);
      RopeTable rope = RopeTable.of(kernels, new double[32], rows);
      Tensor[] pages = new Tensor[rows / KvLayout.TILE];
      for (int i = 0; i < pages.length; i++) pages[i] = page(shape.layout());
      Tensor k = floats(rows, 192);
      Tensor v = floats(rows, 192);
      TokenBatch batch = batch(rows);
      KvView view = view(shape, pages, rows);
      report(
          "append 256 x 3 x 64 " + codec,
          best(() -> kernels.append(shape, 0, k, v, batch, view, rope)));
    }
    free();
  }

  private void report(String what, double seconds) {
    System.out.printf("%-22s %-30s %9.1f us%n", kernels.describe(), what, seconds * 1e6);
  }

  private static TokenBatch batch(int rows) {
    int[] positions = new int[rows];
    for (int i = 0; i < rows; i++) positions[i] = i;
    return new TokenBatch(
        rows, new int[rows], positions, List.of(new Slice(0, 0, rows)), new int[0]);
  }

  private static KvView view(AttentionShape shape, Tensor[] pages, int rows) {
    return new KvView(shape.layout(), List.of(List.of(dense(pages, rows))));
  }

  private static KvSegment dense(Tensor[] pages, int length) {
    Tensor[] keys = new Tensor[pages.length];
    Tensor[] values = new Tensor[pages.length];
    for (int i = 0; i < pages.length; i++) {
      int bytes = pages[i].columns();
      keys[i] = pages[i].columns(0, bytes / 2);
      values[i] = pages[i].columns(bytes / 2, bytes);
    }
    return KvSegment.dense(keys, values, 0, length);
  }

  /** One layer of 9 query heads over 3 KV heads of 64. */
  private double attend(KvCodec codec, int rows, int context, boolean sequences) {
    KvLayout layout = new KvLayout(codec, 1, 3, 64);
    AttentionShape shape = new AttentionShape(layout, 9, 0.125f, 0);
    RopeTable rope = RopeTable.of(kernels, new double[32], context + rows + 1);
    int count = sequences ? rows : 1;
    int perSequence = sequences ? 1 : rows;
    List<Slice> slices = new ArrayList<>();
    List<List<KvSegment>> segments = new ArrayList<>();
    int[] positions = new int[rows];
    for (int s = 0; s < count; s++) {
      int length = context + perSequence;
      Tensor[] pages = new Tensor[(length + 63) / 64];
      for (int p = 0; p < pages.length; p++) pages[p] = page(layout);
      slices.add(new Slice(s, s * perSequence, perSequence));
      segments.add(List.of(dense(pages, length)));
      fill(shape, pages, length, rope);
      for (int i = 0; i < perSequence; i++) positions[s * perSequence + i] = context + i;
    }
    TokenBatch batch = new TokenBatch(rows, new int[rows], positions, slices, new int[0]);
    KvView view = new KvView(layout, segments);
    Tensor q = floats(rows, 9 * 64);
    Tensor out = floats(rows, 9 * 64);
    return best(() -> kernels.attend(shape, 0, q, batch, view, rope, out, null));
  }

  private void fill(AttentionShape shape, Tensor[] pages, int length, RopeTable rope) {
    TokenBatch batch = batch(length);
    KvView view = view(shape, pages, length);
    kernels.append(shape, 0, floats(length, 192), floats(length, 192), batch, view, rope);
  }

  /** Best time of a call: the caller's CPU time with one thread, the clock with several. */
  private double best(Runnable call) {
    double best = Double.MAX_VALUE;
    double spent = 0;
    for (int i = 0; i < 5 || spent < ROUND_SECONDS; i++) {
      double start = now();
      call.run();
      double seconds = now() - start;
      best = Math.min(best, seconds);
      spent += seconds;
    }
    return best;
  }

  private double now() {
    return threads == 1 ? Peak.threadSeconds() : System.nanoTime() * 1e-9;
  }

  private Storage storage(long bytes) {
    Storage s = kernels.allocate(bytes);
    storages.add(s);
    return s;
  }

  private Tensor page(KvLayout layout) {
    long bytes = layout.pageBytes();
    return Tensor.of(storage(bytes), DType.U8, 1, (int) bytes);
  }

  private Tensor floats(int rows, int columns) {
    Tensor t = Tensor.of(storage(4L * rows * columns), DType.F32, rows, columns);
    for (int i = 0; i < rows * columns; i++) {
      t.storage().bytes().putFloat(4 * i, (float) random.nextGaussian());
    }
    return t;
  }

  private PackedMatrix weights(int n, int k, long bytes) {
    Storage s = storage(bytes);
    for (int cell = 0; cell < bytes; cell += PackedMatrix.CELL_BYTES) {
      for (int i = 0; i < 1024; i += 8) s.bytes().putLong(cell + i, random.nextLong());
      for (int i = 1024; i < PackedMatrix.CELL_BYTES; i += 4) s.bytes().putFloat(cell + i, 0.01f);
    }
    return new PackedMatrix(s, 0, PackedMatrix.Form.U8_GROUP32, n, k);
  }

  private void free() {
    storages.forEach(Storage::close);
    storages.clear();
  }

  @Override
  public void close() {
    free();
    kernels.close();
  }
}
