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
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** T22: whatever comes and goes, in whatever order, the memory of it comes and goes with it. */
class ShadowChurnTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final Sizes SIZES = new Sizes(KvCodec.INT8, 1, 2, 1, 32);
  private static final int STEPS = 300;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** A sequence that is there, with its prompt. */
  private record Held(int id, int prompt) {}

  private final Random random = new Random(SEED);
  private final List<Held> held = new ArrayList<>();
  private int nextId;
  private int sealed;
  private int refused;

  /** Host memory for all that moves there, for little of it, and for none. */
  @ParameterizedTest
  @CsvSource({
    "EXACT_INT8,0,800",
    "EXACT_INT8,0,20",
    "EXACT_INT8,0,0",
    "LOWRANK_INT8,32,800",
    "LOWRANK_FP16,16,20",
    "LOWRANK_INT8,64,0"
  })
  void bytesAreThoseOfWhatIsThere(KeyStore keys, int rank, int hostHalves) {
    ShadowSpec spec = new ShadowSpec(8, 128, 4, 32, 0, Attend.PRIVATE, keys, rank);
    long page = SIZES.layout().pageBytes();
    try (Kernels kernels = Backend.open("cpu", 2)) {
      RopeTable rope = StoreRig.rope(kernels, SIZES, 8192);
      HostMemory host = HostMemory.of(hostHalves * SIZES.layout().halfBytes());
      try (KvStore store =
          new ShadowKvStore(
              kernels, SIZES.shapes(), rope, spec, 250 * page, host, PrefixAttention.SHARED)) {
        for (int step = 0; step < STEPS; step++) {
          switch (random.nextInt(8)) {
            case 0, 1, 2 -> come(store);
            case 3, 4 -> build(store);
            case 5 -> store.shrink();
            default -> go(store);
          }
          KvUsage usage = store.usage();
          assertThat(usage.sequences()).isEqualTo(held.size());
          assertThat(usage.hostBytes()).isBetween(0L, host.bytes());
          assertThat(usage.deviceBytes()).isNotNegative();
          if (held.isEmpty()) assertThat(usage.deviceBytes() + usage.hostBytes()).isZero();
        }
        System.out.printf(
            "%s, host %d: %d sealed, %d refused%n", keys, hostHalves, sealed, refused);
        assertThat(sealed).isGreaterThan(20);
        assertThat(store.traffic().sealed()).isPositive();
        while (!held.isEmpty()) go(store);
        assertThat(store.usage().deviceBytes()).isZero();
        assertThat(store.usage().hostBytes()).isZero();
        if (hostHalves == 0 || keys == KeyStore.EXACT_INT8) assertThat(refused).isPositive();
      }
      rope.cos().storage().close();
    }
  }

  /** A prompt of its own. */
  private void come(KvStore store) {
    int id = nextId++;
    int prompt = 1 + random.nextInt(5000);
    finish(store, id, prompt);
  }

  private void finish(KvStore store, int id, int prompt) {
    if (!store.reserve(id, prompt)) {
      store.release(id);
      refused++;
      return;
    }
    held.add(new Held(id, prompt));
    if (random.nextInt(6) == 0) return; // one that is read exactly
    store.seal(id, prompt);
    sealed++;
  }

  /** A prompt that begins as another one does. */
  private void build(KvStore store) {
    if (held.isEmpty()) return;
    Held first = held.get(random.nextInt(held.size()));
    int common = 1 + random.nextInt(first.prompt);
    int id = nextId++;
    try (KvSpan span = store.share(first.id, 0, common)) {
      if (!store.attach(id, span, 0)) {
        store.release(id);
        refused++;
        return;
      }
    }
    finish(store, id, common + 1 + random.nextInt(800));
  }

  private void go(KvStore store) {
    if (held.isEmpty()) return;
    store.release(held.remove(random.nextInt(held.size())).id);
  }
}
