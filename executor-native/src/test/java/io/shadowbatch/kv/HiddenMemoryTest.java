package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.HiddenMemoryKernels;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Part;
import io.shadowbatch.kv.StoreRig.Sizes;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BiFunction;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Stores over a device whose memory the host cannot read give the bits that they give on the host.
 */
class HiddenMemoryTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261121L);
  private static final Sizes SIZES = new Sizes(KvCodec.FP16, 2, 2, 3, 32);
  private static final long PAGES = 200 * SIZES.layout().pageBytes();

  private final Random random = new Random(SEED);

  @BeforeEach
  void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @ParameterizedTest
  @CsvSource({"PRIVATE,8,0", "PRIVATE,4,20000", "UNION,8,100000000"})
  void promptsWithExactKeys(Attend attend, int chunk, long hostBytes) {
    ShadowSpec spec = new ShadowSpec(chunk, 64, 4, 32, 0, attend, null, 0);
    assertSame(shadow(spec, hostBytes), 700, 130);
  }

  @ParameterizedTest
  @CsvSource({"LOWRANK_FP16", "LOWRANK_INT8"})
  void promptsWithKeysOfLowRankInTwoSegments(KeyStore keys) {
    ShadowSpec spec = new ShadowSpec(8, 64, 4, 32, 0, Attend.PRIVATE, keys, 32);
    assertSame(shadow(spec, 1 << 28), 4200, 4100);
  }

  @ParameterizedTest
  @CsvSource({"0", "32", "1000000"})
  void promptsOfWhichPartsAreEvicted(int queries) {
    Eviction eviction = new Eviction(64, queries);
    assertSame(
        (kernels, rope) -> new EvictingKvStore(kernels, SIZES.shapes(), rope, eviction, PAGES),
        700,
        0);
  }

  private static BiFunction<Kernels, RopeTable, KvStore> shadow(ShadowSpec spec, long hostBytes) {
    return (kernels, rope) -> {
      ShadowKvStore store =
          new ShadowKvStore(
              kernels,
              SIZES.shapes(),
              rope,
              spec,
              PAGES,
              HostMemory.of(hostBytes),
              PrefixAttention.SHARED);
      store.measureMass(2);
      return store;
    };
  }

  /** Two sequences that may share pages, both read in part, and what was measured of them. */
  private void assertSame(BiFunction<Kernels, RopeTable, KvStore> open, int prompt, int shared) {
    int[] first = StoreRig.tokens(random, prompt + 6);
    int[] second = StoreRig.join(java.util.Arrays.copyOf(first, shared), tail(prompt + 6 - shared));
    List<Object> seen = new ArrayList<>();
    try (Kernels kernels = Backend.open("cpu", 2)) {
      for (Kernels on : List.of(kernels, HiddenMemoryKernels.over(kernels))) {
        try (StoreRig rig =
            new StoreRig(on, SIZES, open.apply(on, StoreRig.rope(on, SIZES, 8192)))) {
          List<Object> outputs = run(rig, first, second, prompt, shared);
          KvTraffic t = rig.store.traffic();
          outputs.add(
              List.of(t.rows(), t.tokensRead(), t.massCaptured(), t.massRows(), t.misses()));
          seen.add(outputs);
        }
      }
    }
    assertThat(seen.get(1)).usingRecursiveComparison().isEqualTo(seen.get(0));
  }

  private int[] tail(int length) {
    return StoreRig.tokens(random, length);
  }

  private static List<Object> run(StoreRig rig, int[] a, int[] b, int prompt, int shared) {
    for (int at = 0; at < prompt; at += 512) {
      rig.step(new Part(0, a, at, Math.min(prompt, at + 512)));
    }
    if (shared > 0) {
      KvSpan span = rig.store.share(0, 0, shared);
      rig.store.attach(1, span, 0);
      span.close();
    }
    for (int at = shared; at < prompt; at += 512) {
      rig.step(new Part(1, b, at, Math.min(prompt, at + 512)));
    }
    rig.store.seal(0, prompt);
    rig.store.seal(1, prompt);
    List<Object> outputs = new ArrayList<>();
    for (int i = prompt; i < a.length; i++) {
      outputs.add(rig.step(new Part(0, a, i, i + 1), new Part(1, b, i, i + 1)));
    }
    return outputs;
  }
}
