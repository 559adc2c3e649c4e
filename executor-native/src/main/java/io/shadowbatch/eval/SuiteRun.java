package io.shadowbatch.eval;

import io.shadowbatch.eval.Answers.Answer;
import io.shadowbatch.eval.EvalCase.Ask;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.model.Decoder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.function.Consumer;

/**
 * Runs the cases of a suite: each once with the dense policy, then with every other, on stores of
 * their own. Rows of the dense run are kept for one case at a time.
 *
 * @param said hears every answer that has a key: policy, key and text
 * @param progress hears of every case that is done
 */
record SuiteRun(
    Decoder decoder,
    EvalPolicies stores,
    ChatFrame frame,
    EvalPolicy dense,
    List<EvalPolicy> policies,
    Consumer<String> said,
    Consumer<String> progress) {

  /** Results in the order of the policies, behind that of the dense run. */
  List<SuiteResult> of(Suite suite, List<EvalCase> cases, long seed) {
    List<Tally> tallies = new ArrayList<>();
    for (int i = 0; i <= policies.size(); i++) tallies.add(new Tally());
    for (EvalCase c : cases) {
      List<Answers.Dense> answers = dense(c, tallies.get(0), seed + 31L * tallies.get(0).cases);
      for (int i = 0; i < policies.size(); i++) {
        compared(c, policies.get(i), answers, tallies.get(i + 1));
      }
      progress.accept("%s: %d of %d".formatted(suite.name(), tallies.get(0).cases, cases.size()));
    }
    List<SuiteResult> results = new ArrayList<>();
    Tally first = tallies.get(0);
    results.add(new SuiteResult(suite, "dense = " + dense.text(), first, first));
    for (int i = 0; i < policies.size(); i++) {
      results.add(new SuiteResult(suite, policies.get(i).text(), tallies.get(i + 1), first));
    }
    return results;
  }

  private List<Answers.Dense> dense(EvalCase c, Tally tally, long seed) {
    Answers readers = readers();
    List<Answers.Dense> answers = new ArrayList<>();
    try (KvStore store = store(c, dense);
        HostCopy reading = new HostCopy(stores.kernels())) {
      CaseRun run = run(c, store, reading, dense, tally);
      for (Ask ask : c.asks()) {
        Answers.Dense answer = readers.new Dense(ask, seed);
        run.ask(ask, answer);
        grow(run, answer, answer);
        mark(dense, answer, answer, tally);
        answers.add(answer);
      }
    }
    tally.endCase();
    return answers;
  }

  private void compared(EvalCase c, EvalPolicy policy, List<Answers.Dense> dense, Tally tally) {
    Answers readers = readers();
    try (KvStore store = store(c, policy);
        HostCopy reading = new HostCopy(stores.kernels())) {
      CaseRun run = run(c, store, reading, policy, tally);
      for (Answers.Dense known : dense) {
        Answers.Compared answer = readers.new Compared(known, tally.likeness);
        run.ask(known.ask, answer);
        grow(run, answer, known);
        mark(policy, answer, known, tally);
      }
    }
    tally.endCase();
  }

  private Answers readers() {
    return new Answers(frame.tokenizer(), new HashSet<>(stores.spec().text().eosIds()));
  }

  private KvStore store(EvalCase c, EvalPolicy policy) {
    // The trunk, a request with a begun page of the trunk copied, and that page itself.
    return stores.open(policy, 2 * c.longest() + 256);
  }

  private CaseRun run(EvalCase c, KvStore store, HostCopy reading, EvalPolicy policy, Tally tally) {
    boolean shares = stores.shares(policy);
    int vocabulary = stores.spec().vocabulary();
    CaseRun run = new CaseRun(decoder, vocabulary, reading, store, shares, tally);
    run.extendTrunk(c.trunk());
    return run;
  }

  private static void grow(CaseRun run, Answer answer, Answers.Dense dense) {
    Ask ask = answer.ask;
    if (ask.after() != null) run.extendTrunk(ask.tokens(), dense.tokens(), ask.after());
  }

  private void mark(EvalPolicy policy, Answer answer, Answer dense, Tally tally) {
    if (answer.ask.key() == null) return;
    tally.marks = tally.marks.plus(answer.marks());
    if (dense.marks().perfect()) {
      tally.denseRight++;
      if (answer.marks().perfect()) tally.bothRight++;
    }
    said.accept(policy.text() + ": " + answer.ask.key() + ": " + answer.text().strip());
  }
}
