package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CommonPrefixTest {

  /** Goal: however prompts are split, ordered and merged, the prefix is the plain one. */
  @Test
  void anyOrderAndGroupingGivesThePlainAnswer() {
    for (long seed = 0; seed < 500; seed++) {
      Random random = new Random(seed);
      byte[] stem = PlanPrompts.bytes(random, random.nextInt(2_000));
      List<byte[]> texts = new ArrayList<>();
      for (int i = 0; i <= random.nextInt(20); i++) {
        byte[] text = PlanPrompts.concat(stem, PlanPrompts.bytes(random, random.nextInt(3)));
        texts.add(random.nextInt(9) == 0 ? Arrays.copyOf(text, random.nextInt(2_000)) : text);
      }
      int plain = 0;
      while (sharedByAll(texts, plain)) plain++;
      CommonPrefix[] parts = new CommonPrefix[1 + random.nextInt(4)];
      Arrays.fill(parts, CommonPrefix.NONE);
      Collections.shuffle(texts, random);
      for (byte[] text : texts) {
        int part = random.nextInt(parts.length);
        parts[part] = parts[part].with(text);
      }
      CommonPrefix forwards = CommonPrefix.NONE;
      CommonPrefix backwards = CommonPrefix.NONE;
      for (CommonPrefix part : parts) {
        forwards = forwards.with(part);
        CommonPrefix sent = part.isKnown() ? CommonPrefix.of(part.bytes()) : part;
        backwards = sent.with(backwards);
      }
      assertThat(forwards.length()).as("seed %d", seed).isEqualTo(plain);
      assertThat(forwards.bytes()).isEqualTo(Arrays.copyOf(texts.get(0), plain));
      assertThat(backwards).as("seed %d", seed).isEqualTo(forwards).hasSameHashCodeAs(forwards);
    }
  }

  private static boolean sharedByAll(List<byte[]> texts, int at) {
    byte[] first = texts.get(0);
    return texts.stream().allMatch(t -> at < first.length && at < t.length && t[at] == first[at]);
  }

  /** Goal: no prompts and an empty prompt differ, and long prompts are cut at the limit. */
  @Test
  void nothingAndEmptyAndTooLong() {
    assertThat(CommonPrefix.NONE.isKnown()).isFalse();
    assertThat(CommonPrefix.NONE.length()).isZero();
    assertThat(CommonPrefix.NONE.root()).isEqualTo(PinnedRoot.NONE);
    CommonPrefix empty = CommonPrefix.NONE.with(new byte[0]);
    assertThat(empty.isKnown()).isTrue();
    assertThat(empty.with("text".getBytes()).length()).isZero();
    assertThat(CommonPrefix.NONE.with(empty)).isEqualTo(empty);
    byte[] large = new byte[CommonPrefix.BYTES_MAX + 5];
    assertThat(CommonPrefix.of(large).with(large).length()).isEqualTo(CommonPrefix.BYTES_MAX);
  }
}
