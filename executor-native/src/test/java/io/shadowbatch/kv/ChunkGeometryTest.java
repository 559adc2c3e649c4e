package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Part;
import io.shadowbatch.kv.StoreRig.Sizes;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** T21: all widths, groups and chunks, with prompts of all kinds in one batch. */
class ChunkGeometryTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);

  /** Too short to leave out any; the least that does; a tail of 63 and more; whole pages. */
  private static final int[] PROMPTS = {1, 39, 96, 159, 192};

  /** Rows of each in the two steps behind the prompts. */
  private static final int[][] ROWS = {{1, 2, 1, 3, 1}, {2, 1, 1, 1, 4}};

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** All prompts in one step, then the rows behind them in two. */
  private static List<float[][][]> run(StoreRig rig, List<int[]> tokens) {
    int n = PROMPTS.length;
    int[] at = PROMPTS.clone();
    Part[] parts = new Part[n];
    for (int i = 0; i < n; i++) parts[i] = new Part(i, tokens.get(i), 0, PROMPTS[i]);
    rig.step(parts);
    for (int i = 0; i < n; i++) rig.store.seal(i, PROMPTS[i]);
    List<float[][][]> result = new ArrayList<>();
    for (int[] rows : ROWS) {
      for (int i = 0; i < n; i++) {
        parts[i] = new Part(i, tokens.get(i), at[i], at[i] + rows[i]);
        at[i] += rows[i];
      }
      result.add(rig.step(parts));
    }
    return result;
  }

  @ParameterizedTest
  @CsvSource({"64,1", "64,3", "64,4", "64,7", "128,1", "128,3", "128,4", "128,7"})
  void aBudgetForEverythingIsDenseAndASmallOneIsNot(int d, int group) {
    Random random = new Random(SEED);
    List<int[]> tokens = new ArrayList<>();
    for (int prompt : PROMPTS) tokens.add(StoreRig.tokens(random, prompt + 8));
    try (Kernels kernels = Backend.open("cpu", 2)) {
      for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
        Sizes sizes = new Sizes(codec, 1, 2, group, d);
        long bytes = 64 * sizes.layout().pageBytes();
        RopeTable rope = StoreRig.rope(kernels, sizes, 512);
        StoreRig full =
            new StoreRig(kernels, sizes, new FullKvStore(kernels, sizes.shapes(), rope, bytes));
        List<float[][][]> dense = run(full, tokens);
        full.close();
        for (int chunk : new int[] {4, 8, 16}) {
          for (int budget : new int[] {chunk, 4096}) {
            ShadowSpec spec = new ShadowSpec(chunk, budget, 1, 32, 0, Attend.PRIVATE, null, 0);
            HostMemory host = HostMemory.of(bytes);
            PrefixAttention attention = PrefixAttention.SHARED;
            StoreRig rig =
                new StoreRig(
                    kernels,
                    sizes,
                    new ShadowKvStore(kernels, sizes.shapes(), rope, spec, bytes, host, attention));
            List<float[][][]> sparse = run(rig, tokens);
            rig.close();
            for (int i = 0; i < ROWS.length; i++) {
              if (budget == chunk) assertThat(sparse.get(i)).isNotEqualTo(dense.get(i));
              else assertThat(sparse.get(i)).isDeepEqualTo(dense.get(i));
            }
          }
        }
        rope.cos().storage().close();
      }
    }
  }
}
