package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.kernels.TopLogitsOracle;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.sample.Choices;
import io.shadowbatch.sample.Sampler;
import io.shadowbatch.sample.Shortlist;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class CudaTopLogitsTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);
  private CudaKernels cuda;

  @BeforeEach
  void open() {
    StandIn.require();
    cuda = CudaKernels.open(0);
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @AfterEach
  void close() {
    if (cuda != null) cuda.close();
  }

  private Tensor device(float[][] rows) {
    int columns = rows[0].length;
    Storage host = cuda.allocateHost(4L * rows.length * columns);
    Tensor from = Tensor.of(host, DType.F32, rows.length, columns);
    for (int i = 0; i < rows.length; i++) from.writeRow(i, rows[i]);
    Tensor to = Tensor.of(cuda.allocate(host.byteSize()), DType.F32, rows.length, columns);
    cuda.copy(from, to);
    cuda.finish();
    host.close();
    return to;
  }

  /** Goal: for any logits and parameters the token is the sampler's on the whole row. */
  @Test
  void tokensAreTheSamplersOfTheWholeRows() {
    Choices choices = new Choices(SEED);
    Sampler sampler = new Sampler();
    Shortlist shortlist = new Shortlist();
    int open = 0;
    int cases = 0;
    for (int vocabulary : new int[] {1, 40, 256, 257, 1500, 1500, 1500, 12_000}) {
      int n = 60;
      float[][] rows = new float[n][];
      List<LogitQuery> queries = new ArrayList<>();
      List<SamplingParams> params = new ArrayList<>();
      List<Sampler.Past> pasts = new ArrayList<>();
      for (int i = 0; i < n; i++) {
        rows[i] = choices.logits(vocabulary);
        params.add(choices.params());
        pasts.add(choices.past(vocabulary));
        queries.add(Shortlist.query(i, params.get(i), pasts.get(i), vocabulary));
      }
      Tensor logits = device(rows);
      List<TopLogits> tops = cuda.topLogits(logits, queries);
      for (int i = 0; i < n; i++) {
        String what = "row %d of [%d,%d], seed %d".formatted(i, n, vocabulary, SEED);
        if (tops.get(i).count() > 0) compare(what, tops.get(i), rows[i], queries.get(i));
        int chosen = shortlist.choose(tops.get(i), params.get(i), pasts.get(i).step());
        cases++;
        if (chosen == Shortlist.OPEN) {
          open++;
        } else {
          float[] row = rows[i].clone();
          assertThat(chosen).as(what).isEqualTo(sampler.choose(row, params.get(i), pasts.get(i)));
        }
      }
      assertUnchanged(logits, rows);
    }
    System.out.printf("%d of %d choices left open%n", open, cases);
    assertThat(open).isBetween(1, cases / 5);
  }

  private static void compare(String what, TopLogits got, float[] row, LogitQuery query) {
    TopLogits want = TopLogitsOracle.answer(row, query);
    assertThat(got.ids()).as(what).isEqualTo(want.ids());
    assertThat(got.logits()).as(what).isEqualTo(want.logits());
    assertThat(got.complete()).as(what).isEqualTo(want.complete());
    if (Float.isInfinite(want.logits()[0])) return; // nothing has a weight
    assertThat(want.mass()).as(what).isBetween(got.massLow(), got.massHigh());
  }

  private void assertUnchanged(Tensor logits, float[][] rows) {
    try (HostCopy copy = new HostCopy(cuda)) {
      Tensor seen = copy.of(logits);
      float[] row = new float[logits.columns()];
      for (int i = 0; i < rows.length; i++) {
        seen.readRow(i, row);
        assertThat(row).as("row %d of the logits", i).isEqualTo(rows[i]);
      }
    }
  }

  @Test
  void aRowOfEqualsLeavesTheChoiceToWhoHasAllOfIt() {
    TopLogits top = cuda.topLogits(device(new float[1][3000]), List.of(Shortlist.query(0))).get(0);
    assertThat(top.count()).isZero();
    assertThat(top.complete()).isFalse();
    assertThat(top.mass()).isEqualTo(3000);
  }

  @Test
  void rowsTwiceAndTokensOutsideAreRefused() {
    Tensor logits = device(new float[2][40]);
    LogitQuery row = Shortlist.query(1);
    assertThatThrownBy(() -> cuda.topLogits(logits, List.of(row, row)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("topLogits: row 1 after 1 of logits F32 [2,40]");
    LogitQuery.Edits edits = new LogitQuery.Edits(new int[] {40}, new float[1], 1);
    assertThatThrownBy(() -> cuda.topLogits(logits, List.of(new LogitQuery(0, 1, 1, edits))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("edits [40] with 1 numbers in logits F32 [2,40]");
  }
}
