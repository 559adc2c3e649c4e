package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import io.shadowbatch.plan.RowSample.Sampled;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RowSampleTest {

  private static PlanRow row(String key) {
    return new PlanRow(new byte[] {1}, key, 1, 1, 1);
  }

  private static RowSample sample(List<String> keys, int requestsMax) {
    RowSample sample = new RowSample(requestsMax);
    keys.forEach(k -> sample.add(k, () -> row(k)));
    return sample;
  }

  /** Goal: the order of the rows does not matter, and each request is counted in full. */
  @Test
  void anyOrderGivesTheSameSample() {
    for (long seed = 0; seed < 50; seed++) {
      Random random = new Random(seed);
      List<String> keys = new ArrayList<>();
      int count = random.nextInt(2_000);
      for (int i = 0; i < count; i++) keys.add("k" + random.nextInt(500));
      List<String> other = new ArrayList<>(keys);
      Collections.shuffle(other, random);
      List<Sampled> one = sample(keys, 100).rows();
      List<Sampled> two = sample(other, 100).rows();
      assertThat(one).hasSizeLessThanOrEqualTo(100).hasSameSizeAs(two);
      for (int i = 0; i < one.size(); i++) {
        String key = one.get(i).row().key();
        assertThat(two.get(i).row().key()).as("seed %d", seed).isEqualTo(key);
        assertThat(one.get(i).count())
            .as("seed %d", seed)
            .isEqualTo(two.get(i).count())
            .isEqualTo(Collections.frequency(keys, key));
      }
    }
  }

  /** Goal: a sample says how many requests and rows there are. */
  @Test
  void sharesAddUpToAllRows() {
    double requests = 0;
    double rows = 0;
    for (int set = 0; set < 20; set++) {
      List<String> keys = new ArrayList<>();
      for (int i = 0; i < 10_000; i++) keys.add(set + "/" + i / 2);
      for (Sampled s : sample(keys, 250).rows()) {
        requests += 1 / s.share();
        rows += s.count() / s.share();
      }
    }
    assertThat(requests / 20).isCloseTo(5_000, offset(250.0));
    assertThat(rows / 20).isCloseTo(10_000, offset(500.0));
    assertThat(sample(List.of("a", "b", "a"), 2).rows()).allMatch(s -> s.share() == 1).hasSize(2);
    assertThatThrownBy(() -> new RowSample(0)).hasMessageContaining("got 0");
  }
}
