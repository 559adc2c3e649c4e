package io.shadowbatch.spark;

import io.shadowbatch.engine.StepCosts.Work;
import io.shadowbatch.plan.PlanRow;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import io.shadowbatch.spark.PlanFacts.Fact;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.util.Arrays;

/**
 * Counts rows as they pass in their order: what a prompt shares with the one before needs no work.
 * Tokens are estimated from bytes.
 */
final class FactTally {
  /** What the first estimate of bytes a token weighs against prompts that were tokenized. */
  private static final double USUAL_WEIGHT_TOKENS = 64;

  private final PlanFacts facts = new PlanFacts();
  private final Sharing sharing;
  private final int tokensMax;
  private double bytes;
  private double tokens;
  private Prepared before;
  private PlanRow plannedBefore;
  private String params;
  private int outputTokens;

  /**
   * @param bytesPerToken estimate to begin with
   * @param tokensMax prompts of so many tokens will not fit
   */
  FactTally(Sharing sharing, double bytesPerToken, int tokensMax) {
    this.sharing = sharing;
    this.tokensMax = tokensMax;
    this.bytes = bytesPerToken * USUAL_WEIGHT_TOKENS;
    this.tokens = USUAL_WEIGHT_TOKENS;
  }

  PlanFacts facts() {
    return facts;
  }

  /** A prompt turned out to have so many tokens: later estimates are the better for it. */
  void observe(int promptBytes, int promptTokens) {
    bytes += promptBytes;
    tokens += promptTokens;
  }

  /** The next row. */
  void add(Prepared row) {
    facts.add(Fact.ROWS, 1);
    facts.add(Fact.COMPLETIONS, row.samples());
    if (row.error() != null) return;
    int length = row.prompt().length;
    long all = (long) length * row.samples();
    PlanRow planned = PlanColumns.of(row, sharing.rootBytes(), outputTokens(row.params()));
    long newTokens = (long) row.samples() * planned.outputTokens();
    facts.add(Fact.PROMPT_BYTES, all);
    facts.add(Fact.LONGEST_BYTES, length);
    if (tokensOf(length) >= tokensMax) facts.add(Fact.LONG_ROWS, 1);
    facts.add(Fact.NEW_TOKENS_MAX, newTokens);
    facts.add(Fact.COST, sharing.cost().of(planned, plannedBefore));
    boolean copy = sharing.dedup() == Dedup.AUTO && before != null && Repeats.same(before, row);
    facts.add(Fact.PROMPT_TOKENS, row.samples() * tokensOf(length));
    if (copy) {
      facts.add(Fact.COPIED_ROWS, 1);
      facts.add(Fact.COPIED_BYTES, all);
      facts.add(Fact.COPIED_NEW_TOKENS, newTokens);
    } else {
      addWork(row, planned.outputTokens());
    }
    before = row;
    plannedBefore = planned;
  }

  /** Most tokens of an answer; most rows have the parameters of the one before. */
  int outputTokens(String json) {
    if (!json.equals(params)) {
      params = json;
      outputTokens = RowParams.maxTokens(json);
    }
    return outputTokens;
  }

  /** Tokens that some bytes of a prompt are, at least one. */
  private long tokensOf(long length) {
    return Math.max(1, Math.round(length * tokens / bytes));
  }

  private void addWork(Prepared row, int outputTokensMax) {
    long prompt = tokensOf(row.prompt().length);
    int shared = sharedBytes(row);
    long reused = shared == 0 ? 0 : Math.min(prompt - 1, tokensOf(shared));
    int answer = Math.min(outputTokensMax, sharing.cost().outputTokensMax());
    addWork(Work.of(reused, prompt, answer), prompt - reused, answer, 1);
    int others = row.samples() - 1;
    if (others > 0) addWork(Work.of(prompt - 1, prompt, answer), 1, answer, others);
  }

  private void addWork(Work work, long computed, int answer, int times) {
    facts.add(Fact.COMPUTED_TOKENS, times * computed);
    facts.add(Fact.NEW_TOKENS, (long) times * answer);
    facts.add(Fact.LONGEST_ANSWER, answer);
    facts.add(Fact.BATCHED_PAIRS, Math.round(times * work.batchedPairs()));
    facts.add(Fact.LONE_PAIRS, Math.round(times * work.lonePairs()));
  }

  /** Bytes that a prompt begins with as the one before does. */
  private int sharedBytes(Prepared row) {
    if (before == null || sharing.prefixes() == PrefixPlan.OFF) return 0;
    int common = Arrays.mismatch(before.prompt(), row.prompt());
    return common < 0 ? row.prompt().length : common;
  }
}
