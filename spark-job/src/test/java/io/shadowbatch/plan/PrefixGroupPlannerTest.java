package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.plan.PlanPrompts.Plan;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The plan is the best of its kind. */
class PrefixGroupPlannerTest {

  private static final int UNBOUNDED = 1 << 30;

  private static PlanRules rules(Random random) {
    PlanRules some = PlanRules.of(4).withWindow(UNBOUNDED, Long.MAX_VALUE);
    return some.withGroups(random.nextInt(90), 2 + random.nextInt(3), random.nextInt(200));
  }

  /** Goal: no set of prefixes is cheaper than the planner's, tried one by one. */
  @Test
  void costsWhatTheBestOfAllChoicesCosts() {
    int tried = 0;
    for (long seed = 0; seed < 6_000; seed++) {
      Random random = new Random(seed);
      int[] depths = PlanPrompts.depths(random, 1 + random.nextInt(4), seed % 2 == 0 ? 1 : 3);
      int prompts = 1 + random.nextInt(9);
      double repeat = random.nextInt(3) * 0.2;
      List<SortedPrompt<Integer>> all =
          PlanPrompts.tree(random, prompts, depths, 1 + random.nextInt(2), repeat);
      PlanRules rules = rules(random).below(PinnedRoot.NONE);
      long best = new PlanOracle(all, rules).bruteForce(11);
      if (best < 0) continue;
      Plan plan = PlanPrompts.plan(all, rules);
      PlanOracle.check(all, plan, rules, "seed " + seed);
      assertThat(plan.objective(rules)).as("seed %d, %s", seed, all).isEqualTo(best);
      tried++;
    }
    System.out.println("brute force: seeds 0 to 5999, trees compared: " + tried);
    assertThat(tried).isGreaterThan(3_000);
  }

  /** Goal: on large sets with unequal blocks and roots the cost is that of the recurrence. */
  @Test
  void costsWhatTheRecurrenceSays() {
    for (long seed = 0; seed < 60; seed++) {
      Random random = new Random(seed);
      int[] depths = PlanPrompts.depths(random, 2 + random.nextInt(7), 12);
      int prompts = 200 + random.nextInt(1_500);
      List<SortedPrompt<Integer>> all =
          PlanPrompts.tree(random, prompts, depths, 2 + random.nextInt(4), 0.1);
      PlanRules rules = rules(random);
      long best = new PlanOracle(all, rules).recursive();
      Plan plan = PlanPrompts.plan(all, rules);
      PlanOracle.check(all, plan, rules, "seed " + seed);
      assertThat(plan.objective(rules)).as("seed %d", seed).isEqualTo(best);
      assertThat(plan.statistics().forcedCuts()).isZero();
    }
  }

  /** Goal: the same below a root that all prompts share, inside the signatures or before them. */
  @Test
  void groupsPayOnlyWhatIsBelowTheRoot() {
    for (long seed = 0; seed < 60; seed++) {
      Random random = new Random(seed);
      int root = 1 + random.nextInt(40);
      int stepped = Math.min(64, root + 1 + random.nextInt(9));
      int[] depths = {root, stepped, Math.min(64, stepped + 3)};
      List<SortedPrompt<Integer>> all =
          new ArrayList<>(PlanPrompts.tree(random, 300, depths, 1, 0));
      for (SortedPrompt<Integer> p : PlanPrompts.tree(random, 300, depths, 3, 0.1)) {
        all.add(new SortedPrompt<>(p.signature(), p.bytes(), 1, p.payload() + 300));
      }
      byte[] deepest =
          all.stream()
              .map(SortedPrompt::signature)
              .filter(s -> s.length >= 8 * root + 16)
              .findFirst()
              .orElseThrow();
      all.removeIf(p -> PrefixSignature.sharedBlocks(p.signature(), deepest) < root);
      List<SortedPrompt<Integer>> sorted = PlanPrompts.sorted(all);
      PlanRules plain = rules(random).withGroups(random.nextInt(90), 2 + random.nextInt(3), 0);
      PlanRules inside = plain.below(PinnedRoot.inside(root));
      Plan plan = PlanPrompts.plan(sorted, inside);
      PlanOracle.check(sorted, plan, inside, "seed " + seed);
      long best = new PlanOracle(sorted, inside).recursive();
      assertThat(plan.objective(inside)).as("seed %d", seed).isEqualTo(best);
      assertThat(plan.objective(inside))
          .as("seed %d: a root never makes it worse", seed)
          .isLessThanOrEqualTo(PlanPrompts.plan(sorted, plain).objective(plain));
    }
  }

  /** Goal: only the prompts decide, not the order in which they came to be sorted. */
  @Test
  void planDoesNotDependOnInputOrder() {
    for (long seed = 0; seed < 40; seed++) {
      Random random = new Random(seed);
      int[] depths = PlanPrompts.depths(random, 5, 6);
      List<SortedPrompt<Integer>> all = PlanPrompts.tree(random, 400, depths, 3, 0.2);
      PlanRules rules = PlanRules.of(4).withWindow(16 + random.nextInt(500), Long.MAX_VALUE);
      Plan plan = PlanPrompts.plan(all, rules);
      List<SortedPrompt<Integer>> shuffled = new ArrayList<>(all);
      Collections.shuffle(shuffled, random);
      Plan again = PlanPrompts.plan(PlanPrompts.sorted(shuffled), rules);
      assertThat(shape(again)).as("seed %d", seed).isEqualTo(shape(plan));
      assertThat(again.statistics()).as("seed %d", seed).isEqualTo(plan.statistics());
    }
  }

  private static List<String> shape(Plan plan) {
    List<String> shape = new ArrayList<>();
    for (PlannedGroup<Integer> group : plan.groups()) {
      shape.add(group.id() + " " + group.name() + " " + group.prefixBytes());
      for (var member : group.members()) {
        String hex = java.util.HexFormat.of().formatHex(member.prompt().signature());
        shape.add(hex + " " + member.prompt().bytes() + " " + member.duplicateOf());
      }
    }
    return shape;
  }

  /**
   * Goal: cutting the stream costs no more than the prefixes and prompts that lie on both sides.
   * What neighbours share at the cut is no bound: chosen prefixes may be nested.
   */
  @Test
  void cutsCostWhatLiesOnBothSides() {
    int beyondNeighbours = 0;
    int cuts = 0;
    for (long seed = 0; seed < 300; seed++) {
      Random random = new Random(seed);
      int[] depths = PlanPrompts.depths(random, 4, 8);
      List<SortedPrompt<Integer>> all = PlanPrompts.tree(random, 300, depths, 2, 0.1);
      PlanRules rules = rules(random).withGroups(random.nextInt(90), 2, random.nextInt(200));
      Plan whole = PlanPrompts.plan(all, rules);
      int parts = 2 + random.nextInt(6);
      long cost = 0;
      long bound = whole.objective(rules);
      long neighbours = bound;
      PlanStatistics sum = PlanStatistics.NONE;
      for (int part = 0; part < parts; part++) {
        int from = all.size() * part / parts;
        int to = all.size() * (part + 1) / parts;
        Plan own = PlanPrompts.plan(all.subList(from, to), rules);
        cost += own.objective(rules);
        sum = sum.plus(own.statistics());
        if (part == 0) continue;
        cuts++;
        bound += onBothSides(all, whole, from, rules);
        neighbours += rules.overheadBytes() + sharedBytes(all.get(from - 1), all.get(from));
      }
      assertThat(cost).as("seed %d", seed).isBetween(whole.objective(rules), bound);
      assertThat(sum.promptBytes()).isEqualTo(whole.statistics().promptBytes());
      assertThat(sum.plannedBytes()).isGreaterThanOrEqualTo(whole.statistics().optimumBytes());
      if (cost > neighbours) beyondNeighbours++;
    }
    System.out.printf(
        "cuts: seeds 0 to 299, %d cuts; dearer than what neighbours share: %d of 300 sets%n",
        cuts, beyondNeighbours);
  }

  private static long sharedBytes(SortedPrompt<Integer> a, SortedPrompt<Integer> b) {
    boolean equal = java.util.Arrays.equals(a.signature(), b.signature());
    if (equal && a.bytes() == b.bytes()) return a.bytes();
    return PrefixSignature.bytesOf(PrefixSignature.sharedBlocks(a.signature(), b.signature()));
  }

  private static long onBothSides(
      List<SortedPrompt<Integer>> all, Plan whole, int cut, PlanRules rules) {
    Map<Integer, Integer> places = new HashMap<>();
    for (int i = 0; i < all.size(); i++) places.put(all.get(i).payload(), i);
    long cost = 0;
    for (PlannedGroup<Integer> group : whole.groups()) {
      boolean left = false;
      boolean right = false;
      for (var member : group.members()) {
        boolean before = places.get(member.prompt().payload()) < cut;
        left |= before;
        right |= !before;
        if (member.duplicateOf() < 0 || before) continue;
        var twin = group.members().get(member.duplicateOf()).prompt();
        if (places.get(twin.payload()) < cut) cost += member.prompt().bytes() - group.prefixBytes();
      }
      if (left && right) cost += group.prefixBytes() + rules.overheadBytes();
    }
    return cost;
  }
}
