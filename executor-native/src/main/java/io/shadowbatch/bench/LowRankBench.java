package io.shadowbatch.bench;

import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cpu.Peak;
import io.shadowbatch.kv.LowRankBasis;
import io.shadowbatch.kv.LowRankKeys;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleSupplier;
import java.util.stream.IntStream;

/**
 * Times low-rank keys with one kernel thread: the bases of a first segment, the factors of a
 * prompt, and the rebuilding of picked chunks. Prints an aligned line for each; CPU time, the best
 * of several rounds.
 *
 * <pre>LowRankBench [layers heads headDim tokens]    default: 30 3 64 8192, as SmolLM2-135M</pre>
 */
public final class LowRankBench implements AutoCloseable {
  private static final long SEED = 1;
  private static final int CHUNK = 8;
  private static final int PICKS = 64; // of a KV head and layer
  private static final int ROUNDS = 7;

  private final CpuKernels kernels = CpuKernels.open(1);
  private final List<Storage> storages = new ArrayList<>();
  private final Random random = new Random(SEED);

  private LowRankBench() {}

  public static void main(String[] args) {
    int[] n = {30, 3, 64, 8192};
    for (int i = 0; i < args.length; i++) n[i] = Integer.parseInt(args[i]);
    for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
      for (int rank : new int[] {64, 128}) {
        for (KeyStore store : List.of(KeyStore.LOWRANK_INT8, KeyStore.LOWRANK_FP16)) {
          try (LowRankBench bench = new LowRankBench()) {
            KvLayout kv = new KvLayout(codec, n[0], n[1], n[2]);
            bench.measure(new FactorLayout(kv, store, rank), n[3]);
          }
        }
      }
    }
  }

  private void measure(FactorLayout layout, int tokens) {
    KvLayout kv = layout.kv();
    int half = kv.headDim() / 2;
    double[] frequencies = IntStream.range(0, half).mapToDouble(i -> 1.0 / (i + 1)).toArray();
    RopeTable rope = RopeTable.of(kernels, frequencies, tokens);
    Tensor[] keys = pages(tokens / KvLayout.TILE, (int) kv.halfBytes());
    for (Tensor page : keys) fill(kv, page);
    Tensor[] first = java.util.Arrays.copyOf(keys, LowRankKeys.SEGMENT_TOKENS / KvLayout.TILE);
    Tensor[] factors = pages(keys.length, layout.pageBytes());
    Tensor[] slots = pages(PICKS * CHUNK / KvLayout.TILE, (int) kv.halfBytes());
    try (LowRankKeys lowRank = new LowRankKeys(kernels, layout, rope, 1);
        LowRankBasis basis = lowRank.first(first)) {
      double find = best(LowRankBench::processSeconds, () -> lowRank.first(first).close());
      double write = best(Peak::threadSeconds, () -> lowRank.write(basis, keys, 0, factors));
      KeyChunks[] chunks = picks(layout, basis, factors, slots);
      double rebuild =
          best(
              Peak::threadSeconds,
              () -> {
                for (int layer = 0; layer < kv.layers(); layer++) {
                  kernels.lowRank().rebuildKeys(layout, layer, chunks[layer], rope);
                }
              });
      System.out.printf(
          "pages %-4s %-12s rank %3d: bases of %d tokens %6.3f s, factors of %d tokens %6.3f s, "
              + "%d chunks x %d heads rebuilt %6.1f us a layer%n",
          kv.codec(),
          layout.store(),
          layout.rank(),
          LowRankKeys.SEGMENT_TOKENS,
          find,
          tokens,
          write,
          PICKS,
          kv.kvHeads(),
          rebuild * 1e6 / kv.layers());
    }
    rope.cos().storage().close();
  }

  /** Random picks for each layer and head, ascending, into slots of their order. */
  private KeyChunks[] picks(
      FactorLayout layout, LowRankBasis basis, Tensor[] factors, Tensor[] slots) {
    int perPage = KvLayout.TILE / CHUNK;
    KeyChunks[] result = new KeyChunks[layout.kv().layers()];
    for (int layer = 0; layer < result.length; layer++) {
      result[layer] = new KeyChunks(CHUNK);
      for (int head = 0; head < layout.kv().kvHeads(); head++) {
        int[] ids = random.ints(0, factors.length * perPage).distinct().limit(PICKS).toArray();
        java.util.Arrays.sort(ids);
        for (int i = 0; i < PICKS; i++) {
          var source =
              new KeyChunks.Source(factors[ids[i] / perPage], ids[i] % perPage, basis.layer(layer));
          result[layer].add(source, ids[i] * CHUNK, slots[i / perPage], i % perPage, head);
        }
      }
    }
    return result;
  }

  /** Keys that are plain noise: bases are not faster to find for them. */
  private void fill(KvLayout kv, Tensor page) {
    for (int layer = 0; layer < kv.layers(); layer++) {
      for (int head = 0; head < kv.kvHeads(); head++) {
        int at = (int) (page.byteOffset() + kv.blockOffset(layer, head));
        int keyBytes = KvLayout.TILE * kv.headDim();
        for (int i = 0; i < keyBytes; i++) {
          if (kv.codec() == KvCodec.INT8) {
            page.storage().bytes().put(at + i, (byte) random.nextInt(256));
          } else {
            // Halves of magnitude 0.5 to 2.
            int bits =
                random.nextInt(2) << 15 | 14 + random.nextInt(2) << 10 | random.nextInt(1024);
            page.storage().bytes().putShort(at + 2 * i, (short) bits);
          }
        }
        for (int i = 0; kv.codec() == KvCodec.INT8 && i < KvLayout.TILE; i++) {
          page.storage().bytes().putFloat(at + keyBytes + 4 * i, 0.01f);
        }
      }
    }
  }

  private Tensor[] pages(int count, int bytes) {
    Tensor[] result = new Tensor[count];
    for (int i = 0; i < count; i++) {
      Storage s = kernels.allocate(bytes);
      storages.add(s);
      result[i] = Tensor.of(s, DType.U8, 1, bytes);
    }
    return result;
  }

  private static double best(DoubleSupplier clock, Runnable call) {
    double best = Double.MAX_VALUE;
    for (int i = 0; i < ROUNDS; i++) {
      double start = clock.getAsDouble();
      call.run();
      best = Math.min(best, clock.getAsDouble() - start);
    }
    return best;
  }

  private static double processSeconds() {
    var os =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return os.getProcessCpuTime() * 1e-9;
  }

  @Override
  public void close() {
    storages.forEach(Storage::close);
    kernels.close();
  }
}
