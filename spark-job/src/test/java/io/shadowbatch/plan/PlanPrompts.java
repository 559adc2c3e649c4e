package io.shadowbatch.plan;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Random;

/** Seeded prompts for planner tests; the payload is the prompt's index before sorting. */
final class PlanPrompts {

  private PlanPrompts() {}

  /** Blocks on a path through a tree, then text of its own. */
  static SortedPrompt<Integer> crafted(long[] path, long tailBytes, long text, int index) {
    ByteBuffer out = ByteBuffer.allocate(8 * path.length + 16);
    long chain = 0;
    for (long step : path) out.putLong(chain = PrefixSignature.mix(chain + step + 1));
    long whole = PrefixSignature.mix(chain + 31 * text);
    out.putLong(whole).putLong(PrefixSignature.mix(whole));
    long bytes = PrefixSignature.bytesOf(path.length) + tailBytes;
    return new SortedPrompt<>(out.array(), bytes, 10, index);
  }

  /**
   * Prompts in a random tree.
   *
   * @param depths blocks at the end of each level, rising
   * @param children of a node
   * @param repeat share of exact duplicates
   */
  static List<SortedPrompt<Integer>> tree(
      Random random, int prompts, int[] depths, int children, double repeat) {
    List<SortedPrompt<Integer>> all = new ArrayList<>();
    for (int i = 0; i < prompts; i++) {
      if (i > 0 && random.nextDouble() < repeat) {
        SortedPrompt<Integer> twin = all.get(random.nextInt(i));
        all.add(new SortedPrompt<>(twin.signature().clone(), twin.bytes(), 10, i));
        continue;
      }
      int levels = random.nextInt(depths.length + 1);
      long[] path = new long[levels == 0 ? 0 : depths[levels - 1]];
      int from = 0;
      for (int level = 0; level < levels; level++) {
        int child = random.nextInt(children);
        Arrays.fill(path, from, depths[level], child);
        from = depths[level];
      }
      all.add(crafted(path, random.nextInt(200), random.nextLong(), i));
    }
    return sorted(all);
  }

  /** Rising block counts for the levels of a tree. */
  static int[] depths(Random random, int levels, int stepMax) {
    int[] depths = new int[levels];
    int depth = 0;
    for (int i = 0; i < levels; i++) {
      depth = Math.min(PrefixSignature.BLOCKS_MAX, depth + 1 + random.nextInt(stepMax));
      depths[i] = depth;
    }
    return Arrays.stream(depths).distinct().toArray();
  }

  static List<SortedPrompt<Integer>> sorted(Collection<SortedPrompt<Integer>> prompts) {
    List<SortedPrompt<Integer>> sorted = new ArrayList<>(prompts);
    sorted.sort((a, b) -> Arrays.compareUnsigned(a.signature(), b.signature()));
    return sorted;
  }

  /** Real bytes with real signatures, sorted. */
  static List<SortedPrompt<Integer>> signed(List<byte[]> texts, int rootBytes) {
    List<SortedPrompt<Integer>> all = new ArrayList<>();
    for (int i = 0; i < texts.size(); i++) {
      byte[] text = texts.get(i);
      byte[] signature = PrefixSignature.of(text, PrefixSignature.sha256(text), rootBytes);
      all.add(new SortedPrompt<>(signature, text.length, 10, i));
    }
    return sorted(all);
  }

  static byte[] bytes(Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  static byte[] concat(byte[]... parts) {
    byte[] out = new byte[Arrays.stream(parts).mapToInt(p -> p.length).sum()];
    int at = 0;
    for (byte[] part : parts) {
      System.arraycopy(part, 0, out, at, part.length);
      at += part.length;
    }
    return out;
  }

  /** A plan with its statistics. */
  record Plan(List<PlannedGroup<Integer>> groups, PlanStatistics statistics) {

    /** Bytes below the root and what groups cost beyond: what the planner makes small. */
    long objective(PlanRules rules) {
      long sum = 0;
      for (PlannedGroup<Integer> group : groups) {
        sum += group.computedBytes(rules.root());
        if (isChosen(group)) sum += rules.overheadBytes();
      }
      return sum;
    }
  }

  /** Whether a group is more than one repeated prompt. */
  static boolean isChosen(PlannedGroup<?> group) {
    return group.prefixBlocks() > 0 && group.distinct() > 1;
  }

  static Plan plan(List<SortedPrompt<Integer>> sorted, PlanRules rules) {
    return plan(sorted.iterator(), rules);
  }

  static Plan plan(Iterator<SortedPrompt<Integer>> sorted, PlanRules rules) {
    PrefixGroupPlanner<Integer> planner = new PrefixGroupPlanner<>(sorted, rules);
    List<PlannedGroup<Integer>> groups = new ArrayList<>();
    planner.forEachRemaining(groups::add);
    return new Plan(groups, planner.statistics());
  }
}
