package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.golden.RealModels;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.PackOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a real model says behind a long prompt when nothing is left out: each key of it picked, and
 * each direction of the keys kept.
 */
@Timeout(240)
class ShadowTextTest {
  private static final long SEED = 7;
  private static final int PROMPT = 2304; // more than the least prompt whose keys get factors
  private static final int ANSWER = 48;

  /** Two tokens that are closer than this may change places where factors are rounded. */
  private static final double CLOSE = 0.1;

  @TempDir Path folder;

  /** An answer's tokens, and how far each is ahead of the next best. */
  private record Said(List<Integer> tokens, List<Double> margins) {}

  @Test
  void greedyTextIsTheDenseOneIfNothingIsLeftOut() throws IOException {
    Path file = RealModels.find(RealModels.SMOLLM2);
    System.out.println("seed " + SEED);
    try (Kernels kernels = Backend.open("cpu", 2);
        Model model = Model.open(file, kernels, PackOptions.standard().in(folder).threads(2))) {
      ChatFrame frame = ChatFrame.of(model.header());
      RopeTable rope =
          RopeTable.of(kernels, model.spec().rope().frequencies(), PROMPT + ANSWER + 64);
      EvalPolicies policies = new EvalPolicies(kernels, model.spec(), rope);
      Decoder decoder = new Decoder(kernels, model.spec(), model.weights(), CaseRun.STEP);
      Suite suite = Suite.of("nat4k").withTokens(PROMPT);
      EvalCase prose = Cases.of(suite, frame, NaturalText.load(), SEED).get(0);
      int vocabulary = model.spec().vocabulary();
      Said dense = said("fp16", policies, decoder, prose, vocabulary);
      Said all = said("shadow:budget=4096,codec=fp16", policies, decoder, prose, vocabulary);
      assertThat(all).as("all keys, as they are").isEqualTo(dense);
      String fullRank = "shadow:budget=4096,codec=fp16,rank=192,store=fp16";
      assertFollows(said(fullRank, policies, decoder, prose, vocabulary), dense);
    }
  }

  /** The same tokens, up to one that the dense run found as good as another. */
  private static void assertFollows(Said said, Said dense) {
    for (int i = 0; i < ANSWER; i++) {
      if (said.tokens.get(i).equals(dense.tokens.get(i))) continue;
      assertThat(dense.margins.get(i)).as("margin of dense token %d", i).isLessThan(CLOSE);
      assertThat(i).as("tokens alike").isGreaterThan(ANSWER / 4);
      return;
    }
  }

  private static Said said(
      String policy, EvalPolicies policies, Decoder decoder, EvalCase prose, int vocabulary) {
    Said said = new Said(new ArrayList<>(), new ArrayList<>());
    try (KvStore store = policies.open(EvalPolicy.parse(policy), 2 * (PROMPT + ANSWER + 64));
        HostCopy reading = new HostCopy(policies.kernels())) {
      CaseRun run = new CaseRun(decoder, vocabulary, reading, store, false, new Tally());
      run.extendTrunk(prose.trunk());
      run.ask(prose.asks().get(0), (row, logProbs) -> next(said, row, logProbs));
    }
    return said;
  }

  private static int next(Said said, int row, float[] logProbs) {
    int best = 0;
    for (int i = 1; i < logProbs.length; i++) if (logProbs[i] > logProbs[best]) best = i;
    double second = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < logProbs.length; i++) {
      if (i != best) second = Math.max(second, logProbs[i]);
    }
    said.tokens.add(best);
    said.margins.add(logProbs[best] - second);
    return row + 1 < ANSWER ? best : -1;
  }
}
