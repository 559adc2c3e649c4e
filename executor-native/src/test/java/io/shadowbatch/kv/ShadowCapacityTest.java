package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Sizes;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How many long prompts a device holds at once: what reading them in part is for. */
class ShadowCapacityTest {
  private static final int TOKENS = 8192;
  private static final int DENSE = 4;

  /** Sequences of different tokens that a store holds, each complete before the next one comes. */
  private static int held(KvStore store) {
    int held = 0;
    while (store.reserve(held, TOKENS)) {
      store.seal(held, TOKENS);
      held++;
    }
    store.release(held);
    return held;
  }

  private static int shadow(Kernels kernels, Sizes sizes, KeyStore keys, int rank, long bytes) {
    ShadowSpec spec = new ShadowSpec(8, 512, 16, 32, 1024, Attend.PRIVATE, keys, rank);
    RopeTable rope = StoreRig.rope(kernels, sizes, TOKENS);
    try (KvStore store =
        new ShadowKvStore(
            kernels,
            sizes.shapes(),
            rope,
            spec,
            bytes,
            HostMemory.of(1L << 30),
            PrefixAttention.SHARED)) {
      int held = held(store);
      KvUsage usage = store.usage();
      // A prompt that is settled takes more than it gives back only for a while.
      assertThat(usage.deviceBytes()).as("%s device bytes", keys).isLessThanOrEqualTo(bytes);
      assertThat(usage.sequences()).isEqualTo(held);
      for (int id = 0; id < held; id++) store.release(id);
      assertThat(store.usage().deviceBytes()).isZero();
      assertThat(store.usage().hostBytes()).isZero();
      return held;
    } finally {
      rope.cos().storage().close();
    }
  }

  @ParameterizedTest
  @CsvSource({"FP16,12", "INT8,8"})
  void lowRankKeysMakeRoomForManyMorePromptsThanDenseOnes(KvCodec codec, int least) {
    Sizes sizes = new Sizes(codec, 2, 3, 3, 64);
    long bytes = DENSE * (TOKENS / 64) * sizes.layout().pageBytes();
    try (Kernels kernels = Backend.open("cpu", 2)) {
      RopeTable rope = StoreRig.rope(kernels, sizes, TOKENS);
      int dense;
      try (KvStore store = new FullKvStore(kernels, sizes.shapes(), rope, bytes)) {
        dense = held(store);
      }
      int exact = shadow(kernels, sizes, null, 0, bytes);
      int half = shadow(kernels, sizes, KeyStore.LOWRANK_FP16, 64, bytes);
      int lowRank = shadow(kernels, sizes, KeyStore.LOWRANK_INT8, 64, bytes);
      System.out.printf(
          "%s, %d bytes: %d dense sequences of %d tokens, %d with exact keys, %d with keys of rank"
              + " 64 as halves, %d as bytes%n",
          codec, bytes, dense, TOKENS, exact, half, lowRank);
      assertThat(dense).isEqualTo(DENSE);
      assertThat(exact).isGreaterThan(dense);
      assertThat(half).isGreaterThan(exact);
      assertThat(lowRank).isGreaterThanOrEqualTo(Math.max(half, least));
    }
  }
}
