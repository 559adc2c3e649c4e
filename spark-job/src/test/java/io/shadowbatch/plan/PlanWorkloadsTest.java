package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.plan.PlanPrompts.Plan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** What one level of prefixes saves of what reuse at every level would, by kind of prompt set. */
class PlanWorkloadsTest {

  private static final long SEED = 20;

  /**
   * Shares of the prompts' bytes not computed, in percent.
   *
   * @param exact every byte that a prompt shares with a sorted neighbour, whatever the blocks
   * @param optimum the same at block boundaries
   * @param plan one level of prefixes that end at block boundaries
   * @param pinned the same below the prefix that all prompts share
   * @param refined the plan's groups with each prefix as long as its members share bytes
   */
  private record Shares(double exact, double optimum, double plan, double pinned, double refined) {}

  private static Shares shares(String name, List<byte[]> texts) {
    PlanRules rules = PlanRules.of(PlanWorkloads.BYTES_PER_TOKEN);
    List<SortedPrompt<Integer>> sorted = PlanPrompts.signed(texts, 0);
    Plan plan = PlanPrompts.plan(sorted, rules);
    PlanOracle.check(sorted, plan, rules, name);
    CommonPrefix common = CommonPrefix.NONE;
    for (byte[] text : texts) common = common.with(text);
    List<SortedPrompt<Integer>> belowRoot = PlanPrompts.signed(texts, common.length());
    PlanRules below = rules.below(common.root());
    Plan pinned = PlanPrompts.plan(belowRoot, below);
    PlanOracle.check(belowRoot, pinned, below, name + " below its root");
    Shares shares =
        new Shares(
            100 * exact(texts),
            100 * plan.statistics().optimumShare(),
            100 * plan.statistics().savedShare(),
            100 * pinned.statistics().savedShare(),
            100 * refined(plan, texts));
    System.out.printf(
        Locale.ROOT,
        "%-22s seed %d: exact %.1f, optimum %.1f, plan %.1f, pinned %.1f, refined %.1f %%; %s%n",
        name,
        SEED,
        shares.exact,
        shares.optimum,
        shares.plan,
        shares.pinned,
        shares.refined,
        plan.statistics());
    return shares;
  }

  private static double exact(List<byte[]> texts) {
    List<byte[]> sorted = new ArrayList<>(texts);
    sorted.sort(Arrays::compareUnsigned);
    long shared = 0;
    long all = 0;
    byte[] before = new byte[0];
    for (byte[] text : sorted) {
      int at = Arrays.mismatch(before, text);
      shared += at < 0 ? text.length : at;
      all += text.length;
      before = text;
    }
    return (double) shared / all;
  }

  private static double refined(Plan plan, List<byte[]> texts) {
    long computed = 0;
    for (PlannedGroup<Integer> group : plan.groups()) {
      CommonPrefix prefix = CommonPrefix.NONE;
      for (var member : group.members()) prefix = prefix.with(texts.get(member.prompt().payload()));
      assertThat((long) prefix.length()).isGreaterThanOrEqualTo(group.prefixBytes());
      computed += prefix.length();
      for (var member : group.members()) {
        if (member.duplicateOf() < 0) computed += member.prompt().bytes() - prefix.length();
      }
    }
    return 1 - (double) computed / plan.statistics().promptBytes();
  }

  /** Goal: document and few-shot sets lose at most half a point. */
  @Test
  void setsOfOneLevelReachTheOptimum() {
    for (int degree : new int[] {2, 16, 64}) {
      nearOptimum(shares("micro, degree " + degree, PlanWorkloads.micro(SEED, degree)));
    }
    nearOptimum(shares("few-shot tasks", PlanWorkloads.fewShot(SEED)));
    Shares strangers = shares("strangers", PlanWorkloads.strangers(SEED));
    assertThat(strangers.optimum + strangers.plan + strangers.pinned).isZero();
  }

  private static void nearOptimum(Shares shares) {
    assertThat(shares.plan).isBetween(shares.optimum - 0.5, shares.optimum);
    assertThat(shares.refined).isBetween(shares.exact - 0.5, shares.exact);
  }

  /** Goal: chains and trees keep what one level can give; what they lose is printed. */
  @Test
  void chainsAndTreesLoseWhatOneLevelLoses() {
    Shares documents = shares("system and documents", PlanWorkloads.systemAndDocuments(SEED));
    Shares chains = shares("conversations", PlanWorkloads.conversations(SEED));
    Shares thoughts = shares("trees of thought", PlanWorkloads.thoughts(SEED));
    for (Shares s : List.of(documents, chains, thoughts)) {
      assertThat(s.plan).isLessThanOrEqualTo(s.optimum);
      assertThat(s.pinned).isGreaterThan(s.plan - 1);
    }
    assertThat(documents.pinned).isGreaterThan(documents.plan + 1);
    assertThat(documents.pinned).isGreaterThan(documents.optimum - 3);
  }
}
