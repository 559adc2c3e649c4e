package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.eval.AnswerKey.Fields;
import io.shadowbatch.eval.AnswerKey.Marks;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What counts as right in an answer. */
class AnswerKeyTest {
  private static final Fields FIELDS =
      new Fields("{\"a\": \"", Map.of("a", "x y", "b", "17", "c", "z"));

  @Test
  void theFirstNumberOfAnAnswerMustBeTheKey() {
    AnswerKey key = new AnswerKey.Number("48213");
    assertThat(key.mark(" 48213. Remember 7.")).isEqualTo(new Marks(1, 1, 1));
    assertThat(key.mark(" 4821, no: 48213")).isEqualTo(new Marks(1, 1, 0));
    assertThat(key.mark("482134")).isEqualTo(new Marks(1, 1, 0));
    assertThat(key.mark("not in the text")).isEqualTo(new Marks(1, 0, 0));
    assertThat(key.complete(" 48213")).isFalse();
    assertThat(key.complete(" 48213.")).isTrue();
  }

  @Test
  void fieldsAreReadBehindTheOpening() {
    assertThat(FIELDS.mark("x y\", \"b\": 17, \"c\" :\"z\"} \"d\": 1"))
        .isEqualTo(new Marks(3, 3, 3));
    assertThat(FIELDS.mark("x y\",\n \"b\": \"17\", \"c\": \"w\"")).isEqualTo(new Marks(3, 3, 2));
    assertThat(FIELDS.complete("x\"")).isFalse();
    assertThat(FIELDS.complete("x\"}")).isTrue();
  }

  @Test
  void inventedAndRepeatedAndCutOffFields() {
    Marks marks = FIELDS.mark("x\", \"a\": \"x y\", \"e\": 5, \"b\": 17, \"c\": \"z");
    assertThat(marks).as("a was x first; c has no end").isEqualTo(new Marks(3, 3, 1));
  }

  @Test
  void f1IsTheHarmonicMeanOfPrecisionAndRecall() {
    Marks marks = new Marks(8, 5, 4).plus(new Marks(8, 7, 2));
    double precision = 6 / 12.0;
    double recall = 6 / 16.0;
    double expected = 2 * precision * recall / (precision + recall);
    assertThat(marks.f1()).isCloseTo(expected, within(1e-12));
    assertThat(Marks.NONE.f1()).isNaN();
    assertThat(new Marks(3, 3, 3).perfect()).isTrue();
    assertThat(new Marks(3, 4, 3).perfect()).isFalse();
  }
}
