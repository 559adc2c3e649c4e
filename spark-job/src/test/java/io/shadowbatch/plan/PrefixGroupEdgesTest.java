package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.plan.PlanPrompts.Plan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Inputs that lose, double or misplace prompts in careless planners. */
class PrefixGroupEdgesTest {

  private static final PlanRules RULES = PlanRules.of(4);

  private static Plan checked(List<byte[]> texts, PlanRules rules, int rootBytes, String as) {
    List<SortedPrompt<Integer>> sorted = PlanPrompts.signed(texts, rootBytes);
    Plan plan = PlanPrompts.plan(sorted, rules);
    PlanOracle.check(sorted, plan, rules, as);
    return plan;
  }

  /** Goal: equal prompts make one group that computes one of them. */
  @Test
  void equalPromptsAreComputedOnce() {
    for (int length : new int[] {0, 1, 255, 256, 4_000}) {
      byte[] text = PlanPrompts.bytes(new Random(length), length);
      Plan plan = checked(Collections.nCopies(500, text), RULES, 0, length + " bytes");
      assertThat(plan.groups()).hasSize(1);
      assertThat(plan.groups().get(0).distinct()).isEqualTo(1);
      assertThat(plan.groups().get(0).prefixBytes()).isEqualTo(length / 256 * 256);
      assertThat(plan.statistics().plannedBytes()).isEqualTo(length);
      assertThat(plan.statistics().optimumBytes()).isEqualTo(length);
      assertThat(plan.statistics().duplicates()).isEqualTo(499);
    }
  }

  /** Goal: a chain of prefixes of prefixes keeps all prompts and never beats the optimum. */
  @Test
  void chainsOfPrefixesKeepEveryPrompt() {
    byte[] longest = PlanPrompts.bytes(new Random(1), 20_000);
    List<byte[]> texts = new ArrayList<>();
    for (int length = 0; length <= longest.length; length += 128) {
      texts.add(Arrays.copyOf(longest, length));
    }
    Plan plan = checked(texts, RULES, 0, "chain");
    PlanRules rules = RULES.withWindow(1 << 20, Long.MAX_VALUE);
    long best = new PlanOracle(PlanPrompts.signed(texts, 0), rules).recursive();
    assertThat(plan.objective(RULES)).isEqualTo(best);
    System.out.printf(
        "chain of %d: optimum saves %.1f %%, one level %.1f %%%n",
        texts.size(), 100 * plan.statistics().optimumShare(), 100 * plan.statistics().savedShare());
  }

  /** Goal: a prompt that is its group's prefix and no more is a member without bytes of its own. */
  @Test
  void promptMayEqualThePrefixOfItsGroup() {
    Random random = new Random(2);
    byte[] prefix = PlanPrompts.bytes(random, 2_048);
    List<byte[]> texts = new ArrayList<>(List.of(prefix));
    for (int i = 0; i < 7; i++) {
      texts.add(PlanPrompts.concat(prefix, PlanPrompts.bytes(random, 1 + 100 * i)));
    }
    Plan plan = checked(texts, RULES, 0, "prefix itself");
    assertThat(plan.groups()).hasSize(1);
    assertThat(plan.groups().get(0).prefixBytes()).isEqualTo(2_048);
    assertThat(plan.groups().get(0).members()).hasSize(8);
    long own = texts.stream().mapToLong(t -> t.length - 2_048).sum();
    assertThat(plan.statistics().plannedBytes()).isEqualTo(2_048 + own);
  }

  /** Goal: no prompts, empty prompts and one-byte prompts are planned like others. */
  @Test
  void shortPromptsAndNoPromptsAreFine() {
    Plan none = checked(List.of(), RULES, 0, "none");
    assertThat(none.groups()).isEmpty();
    assertThat(none.statistics()).isEqualTo(PlanStatistics.NONE);
    List<byte[]> texts = new ArrayList<>(List.of(new byte[0], new byte[0]));
    for (int i = 0; i < 256; i++) texts.add(new byte[] {(byte) i});
    Plan plan = checked(texts, RULES, 0, "short");
    assertThat(plan.groups()).hasSize(257).allMatch(g -> g.name() == null);
    PrefixGroupPlanner<Integer> planner =
        new PrefixGroupPlanner<>(Collections.emptyIterator(), RULES);
    assertThatThrownBy(planner::next).isInstanceOf(NoSuchElementException.class);
  }

  /** Goal: below a root of a megabyte, groups are found that 64 blocks of it would hide. */
  @Test
  void rootsOfAMegabyteHideNothing() {
    Random random = new Random(3);
    byte[] root = PlanPrompts.bytes(random, 1 << 20);
    List<byte[]> texts = new ArrayList<>();
    for (int document = 0; document < 3; document++) {
      byte[] middle = PlanPrompts.bytes(random, 5_000);
      middle[0] = (byte) document;
      for (int i = 0; i < 4; i++) {
        texts.add(PlanPrompts.concat(root, middle, PlanPrompts.bytes(random, 300)));
      }
    }
    CommonPrefix common = CommonPrefix.NONE;
    for (byte[] text : texts) common = common.with(text);
    assertThat(common.length()).isEqualTo(1 << 20);
    PlanRules below = RULES.below(common.root());
    Plan plan = checked(texts, below, common.length(), "below");
    assertThat(plan.groups()).hasSize(3).allMatch(g -> g.members().size() == 4);
    assertThat(plan.groups()).allMatch(g -> g.prefixBytes() == (1 << 20) + 19 * 256);
    assertThat(plan.statistics().savedShare()).isGreaterThan(0.9);

    Plan whole = checked(texts, RULES.withWindow(64, 1L << 40), 0, "whole");
    assertThat(whole.groups()).hasSize(1);
    assertThat(whole.groups().get(0).prefixBytes()).isEqualTo(530_432);
  }

  /** Goal: prompts that are no longer than the root compute nothing but the root. */
  @Test
  void promptsMayEqualTheRoot() {
    byte[] root = PlanPrompts.bytes(new Random(4), 4_000);
    byte[] longer = Arrays.copyOf(root, 4_010);
    PlanRules below = RULES.below(PinnedRoot.before(4_000));
    Plan plan = checked(List.of(root, root, longer, root), below, 4_000, "root itself");
    assertThat(plan.statistics().plannedBytes()).isEqualTo(4_010);
    assertThat(plan.statistics().duplicates()).isEqualTo(2);
    assertThat(plan.groups()).hasSize(2).allMatch(g -> g.name() == null);
  }

  /** Goal: strangers with equal hashes are neighbours, never the same prompt twice or none. */
  @Test
  void collisionsLoseAndDoubleNobody() {
    for (long seed = 0; seed < 300; seed++) {
      Random random = new Random(seed);
      List<SortedPrompt<Integer>> all = new ArrayList<>();
      for (int i = 0; i < 60; i++) {
        byte[] signature = new byte[8 * random.nextInt(4) + 16];
        for (int b = 0; b < signature.length; b++) {
          signature[b] = (byte) (random.nextInt(8) == 0 ? 1 : 0);
        }
        if (random.nextInt(3) > 0) Arrays.fill(signature, (byte) 0);
        all.add(new SortedPrompt<>(signature, 768 + random.nextInt(3), 1, i));
      }
      PlanRules rules = RULES.withWindow(2 + random.nextInt(80), Long.MAX_VALUE);
      List<SortedPrompt<Integer>> sorted = PlanPrompts.sorted(all);
      PlanOracle.check(sorted, PlanPrompts.plan(sorted, rules), rules, "seed " + seed);
    }
  }

  /** Goal: different blocks with the same hash make neighbours of strangers, and no more. */
  @Test
  void strangersWhoseBlocksCollideStandSideBySide() {
    for (long seed = 0; seed < 40; seed++) {
      Random random = new Random(seed);
      List<byte[]> texts = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        texts.add(PlanPrompts.bytes(random, random.nextInt(3_000)));
        if (random.nextInt(4) == 0) texts.add(texts.get(random.nextInt(texts.size())));
      }
      List<SortedPrompt<Integer>> all = new ArrayList<>();
      for (int i = 0; i < texts.size(); i++) {
        byte[] signature = CollidingSignatures.of(texts.get(i));
        all.add(new SortedPrompt<>(signature, texts.get(i).length, 10, i));
      }
      List<SortedPrompt<Integer>> sorted = PlanPrompts.sorted(all);
      Plan plan = PlanPrompts.plan(sorted, RULES);
      PlanOracle.check(sorted, plan, RULES, "seed " + seed);
      int strangers = 0;
      for (PlannedGroup<Integer> group : plan.groups()) {
        for (PlannedGroup.Member<Integer> member : group.members()) {
          byte[] text = texts.get(member.prompt().payload());
          if (member.duplicateOf() >= 0) {
            int equal = group.members().get(member.duplicateOf()).prompt().payload();
            assertThat(text).as("seed %d", seed).isEqualTo(texts.get(equal));
          }
          byte[] first = texts.get(group.members().get(0).prompt().payload());
          if (group.prefixBlocks() > 0 && text[0] != first[0]) strangers++;
        }
      }
      assertThat(strangers).as("seed %d: the hash made strangers meet", seed).isPositive();
    }
  }

  /** Goal: a megabyte that some prompts share and others do not is a prefix as far as blocks go. */
  @Test
  void aMegabyteThatOnlySomeShareIsOneGroup() {
    Random random = new Random(9);
    byte[] shared = PlanPrompts.bytes(random, 1 << 20);
    List<byte[]> texts = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      texts.add(PlanPrompts.concat(shared, PlanPrompts.bytes(random, 100 * i)));
      texts.add(PlanPrompts.bytes(random, 1_000 + i));
    }
    Plan plan = checked(texts, RULES, 0, "a megabyte");
    assertThat(plan.groups()).filteredOn(g -> g.prefixBlocks() > 0).hasSize(1);
    PlannedGroup<Integer> group =
        plan.groups().stream().filter(g -> g.prefixBlocks() > 0).findFirst().orElseThrow();
    assertThat(group.members()).hasSize(6);
    assertThat(group.prefixBytes()).isEqualTo(PrefixSignature.bytesOf(64));
  }

  /** Goal: a window of few rows costs no more than one prefix for each time it was cut. */
  @Test
  void fullWindowsCostOnePrefixEach() {
    for (long seed = 0; seed < 200; seed++) {
      Random random = new Random(seed);
      int[] depths = {1 + random.nextInt(40)};
      List<SortedPrompt<Integer>> all = PlanPrompts.tree(random, 200, depths, 5, 0.1);
      long prefix = PrefixSignature.bytesOf(depths[0]);
      for (int rows = 2; rows <= 8; rows++) {
        PlanRules rules = RULES.withWindow(rows, Long.MAX_VALUE);
        Plan plan = PlanPrompts.plan(all, rules);
        String as = "seed " + seed + ", window of " + rows;
        PlanOracle.check(all, plan, rules, as);
        Plan unbounded = PlanPrompts.plan(all, RULES);
        assertThat(unbounded.statistics().forcedCuts()).isZero();
        long cuts = plan.statistics().forcedCuts();
        assertThat(cuts).as(as).isPositive();
        assertThat(plan.objective(rules))
            .as(as)
            .isBetween(
                unbounded.objective(RULES),
                unbounded.objective(RULES) + cuts * (prefix + 200 + rules.overheadBytes()));
        int largest = plan.groups().stream().mapToInt(g -> g.members().size()).max().orElse(0);
        assertThat(largest).as(as).isLessThanOrEqualTo(rows);
      }
    }
  }

  /** Goal: no more rows and bytes are held than the rules say, whatever the prompts share. */
  @Test
  void windowsBoundRowsAndBytes() {
    Random random = new Random(5);
    List<SortedPrompt<Integer>> all = PlanPrompts.tree(random, 3_000, new int[] {4, 9}, 1, 0.2);
    for (int rows : new int[] {2, 3, 17, 400}) {
      int[] taken = {0};
      List<SortedPrompt<Integer>> counted = new ArrayList<>(all);
      var stream = counted.stream().peek(p -> taken[0]++).iterator();
      PlanRules rules = RULES.withWindow(rows, rows * 2_000L);
      PrefixGroupPlanner<Integer> planner = new PrefixGroupPlanner<>(stream, rules);
      int given = 0;
      int heldMax = 0;
      int planned = 0;
      while (planner.hasNext()) {
        heldMax = Math.max(heldMax, taken[0] - given);
        given += planner.next().members().size();
        planned++;
      }
      assertThat(given).isEqualTo(all.size());
      assertThat(heldMax)
          .as("window of %d, %d groups", rows, planned)
          .isLessThanOrEqualTo(rows + 1);
    }
  }

  /** Goal: a cut lies between documents, not inside one, while a system prompt fills the window. */
  @Test
  void cutsLieWhereNeighboursShareLeast() {
    Random random = new Random(6);
    byte[] system = PlanPrompts.bytes(random, 1_024);
    List<byte[]> texts = new ArrayList<>();
    for (int document = 0; document < 60; document++) {
      byte[] middle = PlanPrompts.bytes(random, 4_096);
      for (int i = 0; i < 8; i++) {
        texts.add(PlanPrompts.concat(system, middle, PlanPrompts.bytes(random, 200)));
      }
    }
    PlanRules small = RULES.withWindow(20, Long.MAX_VALUE);
    Plan plan = checked(texts, small, 0, "window of 20");
    assertThat(plan.statistics().forcedCuts()).isGreaterThan(20);
    assertThat(plan.statistics().plannedBytes())
        .isEqualTo(checked(texts, RULES, 0, "all").statistics().plannedBytes());
  }

  /** Goal: what is out of order or impossible is refused with the numbers. */
  @Test
  void refusesWhatIsNotSortedOrNotPossible() {
    SortedPrompt<Integer> low = PlanPrompts.crafted(new long[] {0}, 0, 1, 0);
    SortedPrompt<Integer> high = PlanPrompts.crafted(new long[] {1}, 0, 1, 1);
    List<SortedPrompt<Integer>> reversed = PlanPrompts.sorted(List.of(low, high));
    Collections.reverse(reversed);
    assertThatThrownBy(() -> PlanPrompts.plan(reversed, RULES))
        .hasMessage("prompt 1: its signature sorts before the one in front of it");
    SortedPrompt<Integer> small = new SortedPrompt<>(low.signature(), 255, 0, 0);
    assertThatThrownBy(() -> PlanPrompts.plan(List.of(small), RULES))
        .hasMessage("prompt 0: has 255 bytes, but its signature covers 256 and the root has 0");
    SortedPrompt<Integer> empty = new SortedPrompt<>(new byte[0], 0, 0, 0);
    assertThatThrownBy(() -> PlanPrompts.plan(List.of(empty), RULES))
        .hasMessage("prompt 0: a signature of 0 bytes is none");
    assertThatThrownBy(() -> RULES.withWindow(1, 1)).hasMessageContaining("got 2, 1, 1");
    assertThatThrownBy(() -> PlanRules.of(Double.NaN)).hasMessageContaining("got NaN, 32, 32");
  }
}
