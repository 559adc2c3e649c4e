package io.shadowbatch.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.bench.Workload.Prompt;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The workloads have the sizes that they claim, and the trie is exact. */
class WorkloadsTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261123L);

  private static List<int[]> tokens(Workload w) {
    return w.prompts().stream().map(Prompt::tokens).toList();
  }

  @Test
  void sizesAreThoseOfTheTable() {
    assertSize("M2", 64, 64 * 288, 32 * 256 + 64 * 32);
    assertSize("M4", 64, 64 * 288, 16 * 256 + 64 * 32);
    assertSize("M16", 64, 64 * 288, 4 * 256 + 64 * 32);
    assertSize("M64", 64, 64 * 288, 256 + 64 * 32);
    assertSize("MB", 256, 256 * 544, 16 * 512 + 256 * 32);
    assertSize("MX", 128, 64 * (528 + 80), 8 * (512 + 64) + 128 * 16);
    assertSize("UQ", 32, 32 * 288, 32 * 288);
    assertSize("DUP", 64, 64 * 288, 32 * 288);
    assertThat(Workloads.of("SD", SEED, 49152).prompts()).hasSize(128);
    assertThat(Workloads.of("FS", SEED, 49152).prompts()).hasSize(96);
    assertThat(Workloads.of("FS", SEED, 49152).outputTokens()).isEqualTo(96);
    assertThat(Workloads.of("MB", SEED, 49152).kvTokens()).isEqualTo(5120);
  }

  /** First tokens may meet by chance, which saves a token or two. */
  private static void assertSize(String id, int prompts, long logical, long nodes) {
    Workload w = Workloads.of(id, SEED, 49152);
    assertThat(w.prompts()).as(id).hasSize(prompts);
    assertThat(w.promptTokens()).as(id).isEqualTo(logical);
    assertThat(TokenTrie.of(tokens(w), 64).nodes()).as(id).isBetween(nodes - 8, nodes);
  }

  @Test
  void columnOrderDecidesWhatRowsShare() {
    long good = TokenTrie.of(tokens(Workloads.of("REL_GOOD", SEED, 49152)), 64).nodes();
    long bad = TokenTrie.of(tokens(Workloads.of("REL_BAD", SEED, 49152)), 64).nodes();
    assertThat(2 * good).isLessThan(bad);
  }

  @Test
  void sameSeedGivesTheSameTokens() {
    for (String id : Workloads.IDS) {
      int[][] once = tokens(Workloads.of(id, SEED, 250)).toArray(int[][]::new);
      int[][] again = tokens(Workloads.of(id, SEED, 250)).toArray(int[][]::new);
      assertThat(Arrays.deepEquals(once, again)).as(id).isTrue();
    }
  }

  @Test
  void trieCountsDistinctPrefixes() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    for (int round = 0; round < 300; round++) {
      List<int[]> prompts = new ArrayList<>();
      int count = 1 + random.nextInt(20);
      for (int i = 0; i < count; i++) {
        prompts.add(random.ints(1 + random.nextInt(12), 0, 2).toArray());
      }
      TokenTrie trie = TokenTrie.of(prompts, 4);
      assertThat(trie.nodes()).isEqualTo(prefixes(prompts).size());
      long planned = 0;
      long pages = 0;
      List<int[]> earlier = new ArrayList<>();
      for (int i : trie.order()) {
        int[] tokens = prompts.get(i);
        Set<List<Integer>> held = prefixes(earlier);
        int taken = tokens.length - 1;
        while (taken > 0 && !held.contains(boxed(tokens, taken))) taken--;
        planned += tokens.length - taken;
        pages += tokens.length - taken / 4 * 4;
        earlier.add(tokens);
      }
      assertThat(trie.planned()).isEqualTo(planned);
      assertThat(trie.plannedPages()).isEqualTo(pages);
    }
  }

  private static Set<List<Integer>> prefixes(List<int[]> prompts) {
    Set<List<Integer>> prefixes = new HashSet<>();
    for (int[] p : prompts) for (int n = 1; n <= p.length; n++) prefixes.add(boxed(p, n));
    return prefixes;
  }

  private static List<Integer> boxed(int[] tokens, int count) {
    return Arrays.stream(tokens, 0, count).boxed().toList();
  }
}
