package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.engine.KvChoice.Asked;
import io.shadowbatch.plan.PlannedGroup;
import io.shadowbatch.plan.SortedPrompt;
import io.shadowbatch.spark.JobConfig.Dedup;
import io.shadowbatch.spark.JobConfig.PrefixPlan;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class RowGroupTest {

  private static final byte[] ANY = {};

  /** A group of so many samples for each member, the last a duplicate of the one before. */
  private static PlannedGroup<Integer> group(String name, long prefixBytes, int... samples) {
    List<PlannedGroup.Member<Integer>> members = new ArrayList<>();
    for (int i = 0; i < samples.length; i++) {
      int duplicateOf = i > 0 && i == samples.length - 1 ? i - 1 : -1;
      members.add(
          new PlannedGroup.Member<>(new SortedPrompt<>(ANY, 1000, 0, samples[i]), duplicateOf));
    }
    return new PlannedGroup<>(0, name, name == null ? 0 : 1, prefixBytes, members);
  }

  private static RowGroup of(PlannedGroup<Integer> group, Dedup dedup, int rootBytes) {
    return RowGroup.of(group, n -> n, new Sharing(PrefixPlan.ON, dedup, rootBytes));
  }

  /** Goal: requests are those that are computed, and a prompt's share is the same in tokens. */
  @Test
  void groupsCountTheRequestsThatAreComputed() {
    PlannedGroup<Integer> group = group("g", 600, 1, 3, 2, 2);
    assertThat(of(group, Dedup.AUTO, 0)).isEqualTo(new RowGroup("g", 600, 6));
    RowGroup all = of(group, Dedup.OFF, 0);
    assertThat(all.requests()).isEqualTo(8);
    assertThat(all.asked(1200, 1, 400, 7)).isEqualTo(new Asked(400, 200, 8, 7));
    assertThat(all.asked(500, 1, 400, 7).sharedTokens()).as("shorter than planned").isEqualTo(400);
  }

  /** Goal: a row shares its whole prompt with its own samples, and nothing if it has one. */
  @Test
  void rowsAloneShareWithTheirSamples() {
    assertThat(RowGroup.ALONE.asked(1000, 1, 300, 9)).isEqualTo(new Asked(300, 0, 1, 9));
    assertThat(RowGroup.ALONE.asked(1000, 4, 300, 9)).isEqualTo(new Asked(300, 300, 4, 9));
    RowGroup copies = of(group("g", 900, 1, 1), Dedup.AUTO, 0);
    assertThat(copies.asked(1000, 1, 300, 9)).as("copies").isEqualTo(new Asked(300, 0, 1, 9));
  }

  /** Goal: rows of no group share the root, if there is one. */
  @Test
  void theRootIsSharedByAll() {
    assertThat(of(group(null, 0, 1), Dedup.AUTO, 0)).isEqualTo(RowGroup.ALONE);
    RowGroup root = of(group(null, 0, 1), Dedup.AUTO, 250);
    assertThat(root.name()).isNull();
    Asked asked = root.asked(1000, 1, 400, 9);
    assertThat(asked.sharedTokens()).isEqualTo(100);
    assertThat(asked.groupRows()).isGreaterThan(1);
  }
}
