package io.shadowbatch.engine;

import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import io.shadowbatch.sample.Sampler;
import io.shadowbatch.sample.Shortlist;
import io.shadowbatch.schedule.Sequence;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;

/**
 * From a step's logits to its tokens. Of logits on a device the largest decide nearly always, and
 * whole rows are copied for the rest only; which it was changes no token. Used by one thread.
 */
final class Chooser implements AutoCloseable {
  private final Kernels kernels;
  private final Sampler sampler = new Sampler();
  private final Shortlist shortlist = new Shortlist();
  private final HostCopy copy;
  private final int[] best;
  private final float[] row;
  private TopLogits[] plainTops;
  private TopLogits[] tops;
  private Tensor logits;
  private List<Answer> answers;

  /**
   * @param rowsMax most rows at once
   */
  Chooser(Kernels kernels, int rowsMax, int vocabulary) {
    this.kernels = kernels;
    this.copy = new HostCopy(kernels);
    this.best = new int[rowsMax];
    this.row = new float[vocabulary];
  }

  /**
   * Looks at all rows; the calls below then answer for each, until the next step.
   *
   * @param nextLogits [answers, vocabulary]
   */
  void look(Tensor nextLogits, List<Answer> nextAnswers) {
    logits = nextLogits;
    answers = nextAnswers;
    kernels.argmax(logits, best);
    // Two questions: a row's probabilities are those of its logits before any change.
    plainTops = ask(i -> params(i).logprobs() < 0 ? null : Shortlist.query(i));
    tops =
        ask(
            i ->
                isPlain(i)
                    ? null
                    : Shortlist.query(i, params(i), past(answers.get(i)), logits.columns()));
  }

  private TopLogits[] ask(IntFunction<LogitQuery> question) {
    TopLogits[] found = new TopLogits[answers.size()];
    if (logits.storage().bytes() != null) return found;
    List<LogitQuery> queries = new ArrayList<>();
    for (int i = 0; i < found.length; i++) {
      LogitQuery query = best[i] < 0 ? null : question.apply(i);
      if (query != null) queries.add(query);
    }
    if (queries.isEmpty()) return found;
    List<TopLogits> all = kernels.topLogits(logits, queries);
    for (int i = 0; i < all.size(); i++) found[queries.get(i).row()] = all.get(i);
    return found;
  }

  private SamplingParams params(int i) {
    return answers.get(i).params();
  }

  /** Whether the token is the largest logit's as it stands. */
  private boolean isPlain(int i) {
    SamplingParams p = params(i);
    return p.greedy() && !p.penalised() && answers.get(i).forbidden().length == 0;
  }

  private static Sampler.Past past(Answer answer) {
    Sequence s = answer.sequence();
    return new Sampler.Past(s.tokens(), s.length(), s.promptLength(), answer.forbidden());
  }

  /** The token of row i, or -1 if its logits are not numbers. */
  int token(int i) {
    if (best[i] < 0 || isPlain(i)) return best[i];
    Sampler.Past past = past(answers.get(i));
    int token = Shortlist.OPEN;
    if (tops[i] != null) token = shortlist.choose(tops[i], params(i), past.step());
    return token == Shortlist.OPEN ? sampler.choose(read(i), params(i), past) : token;
  }

  /** Of a token of row i; null if the request wants none. */
  TokenLogprob logprob(int i, int token) {
    int alternatives = params(i).logprobs();
    if (alternatives < 0) return null;
    TokenLogprob found = null;
    if (plainTops[i] != null) found = Shortlist.logprob(plainTops[i], token, alternatives);
    return found == null ? sampler.logprob(read(i), token, alternatives) : found;
  }

  /** All logits of row i, valid until the next call. */
  float[] read(int i) {
    copy.of(logits.rows(i, i + 1)).readRow(0, row);
    return row;
  }

  @Override
  public void close() {
    copy.close();
  }
}
