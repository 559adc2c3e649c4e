package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.cuda.StandIn;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import io.shadowbatch.sample.Choices;
import io.shadowbatch.sample.Sampler;
import io.shadowbatch.schedule.Sequence;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The choice of a step's tokens, of logits on a device and in host memory. */
class ChooserTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261123L);
  private static final int ROWS = 96;
  private static final int VOCABULARY = 6000;

  private final Choices choices = new Choices(SEED);
  private final List<Answer> answers = new ArrayList<>();
  private final float[][] rows = new float[ROWS][];

  /** Requests of all kinds, one of which gets logits that are not numbers. */
  private void prepare() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    for (int i = 0; i < ROWS; i++) {
      SamplingParams params = i % 8 == 0 ? SamplingParams.GREEDY : choices.params();
      Sampler.Past past = choices.past(VOCABULARY);
      Request request = new Request(i, past.tokens(), params);
      answers.add(new Answer(new Sequence(i, request), null, null, Set.of(2, 7), null));
      rows[i] = choices.logits(VOCABULARY);
    }
    Arrays.fill(rows[5], Float.NaN);
  }

  private Tensor logits(Kernels kernels) {
    Storage host = kernels.allocateHost(4L * ROWS * VOCABULARY);
    Tensor from = Tensor.of(host, DType.F32, ROWS, VOCABULARY);
    for (int i = 0; i < ROWS; i++) from.writeRow(i, rows[i]);
    Tensor to = Tensor.of(kernels.allocate(host.byteSize()), DType.F32, ROWS, VOCABULARY);
    kernels.copy(from, to);
    kernels.finish();
    host.close();
    return to;
  }

  /** Goal: where logits lie decides how many bytes move, and no token. */
  @Test
  void tokensOfADevicesLogitsAreTheHostsAndFewRowsAreCopied() {
    StandIn.require();
    prepare();
    try (Kernels cpu = Backend.open("cpu", 1);
        Kernels cuda = Backend.open("cuda", 1);
        Chooser near = new Chooser(cpu, ROWS, VOCABULARY);
        Chooser far = new Chooser(cuda, ROWS, VOCABULARY)) {
      near.look(logits(cpu), answers);
      Tensor onDevice = logits(cuda);
      long before = StandIn.real() ? 0 : StandIn.count("to host");
      far.look(onDevice, answers);
      int looked = 0;
      for (int i = 0; i < ROWS; i++) {
        String what = "row %d, seed %d".formatted(i, SEED);
        int token = near.token(i);
        assertThat(far.token(i)).as(what).isEqualTo(token);
        assertThat(token < 0).as(what).isEqualTo(i == 5);
        if (token < 0) continue;
        if (i % 8 > 0 || answers.get(i).params().logprobs() >= 0) looked++;
        compare(what, far.logprob(i, token), near.logprob(i, token));
      }
      if (StandIn.real()) return;
      long copied = (StandIn.count("to host") - before) / (4 * VOCABULARY);
      System.out.printf("%d rows copied for %d choices%n", copied, looked);
      assertThat(copied).isLessThan(looked / 4);
    }
  }

  private static void compare(String what, TokenLogprob got, TokenLogprob want) {
    assertThat(got == null).as(what).isEqualTo(want == null);
    if (want == null) return;
    assertThat(got.tokenId()).as(what).isEqualTo(want.tokenId());
    assertThat(got.logprob()).as(what).isCloseTo(want.logprob(), within(1e-6));
    assertThat(got.top().stream().map(TokenLogprob.Alternative::tokenId).toList())
        .as(what)
        .isEqualTo(want.top().stream().map(TokenLogprob.Alternative::tokenId).toList());
  }
}
