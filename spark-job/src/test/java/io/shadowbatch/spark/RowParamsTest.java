package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.JobConfig.UnknownParams;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RowParamsTest {

  private static final Map<String, Object> DEFAULTS =
      RowParams.defaults(LocalSpark.settings("max-tokens=9", "stop=END", "stop-token-ids=4,5"));

  /** Goal: a row's values win, aliases work, and the rest comes from the job. */
  @Test
  void rowOverridesJob() {
    Map<String, Object> merged =
        RowParams.merge(
            DEFAULTS,
            Map.of("max_completion_tokens", 3, "temperature", 0.7f, "stop", "x", "n", "2"),
            UnknownParams.ERROR);
    SamplingParams p = RowParams.sampling(RowParams.parsed(RowParams.json(merged)), 5);
    assertThat(p.maxTokens()).isEqualTo(3);
    assertThat(p.temperature()).isEqualTo(0.7);
    assertThat(p.stop()).containsExactly("x");
    assertThat(p.stopTokenIds()).containsExactly(4, 5);
    assertThat(p.seed()).isEqualTo(5);
    assertThat(RowParams.samples(merged)).isEqualTo(2);
  }

  /** Goal: unknown names follow the policy, wrong values are errors that name the key. */
  @Test
  void unknownAndWrongValues() {
    assertThatThrownBy(() -> merge(Map.of("max_tokns", 3)))
        .hasMessageContaining("max_tokns")
        .isInstanceOfSatisfying(
            RowException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.UNSUPPORTED_PARAM));
    RowParams.merge(DEFAULTS, Map.of("colour", "m"), UnknownParams.WARN);
    assertThat(RowParams.warned()).contains("colour").doesNotContain("model");
    assertThat(RowParams.merge(DEFAULTS, Map.of("model", "m"), UnknownParams.IGNORE))
        .isEqualTo(DEFAULTS);
    for (Object wrong : List.of("many", 1.5)) {
      assertThatThrownBy(() -> merge(Map.of("max_tokens", wrong)))
          .hasMessageContaining("max_tokens");
    }
    assertThatThrownBy(() -> merge(Map.of("seed", "x"))).hasMessageContaining("seed");
    assertThatThrownBy(() -> RowParams.sampling(merge(Map.of("top_p", 3)), 0))
        .hasMessageContaining("top_p");
    assertThatThrownBy(() -> RowParams.object("[1]")).hasMessageContaining("JSON object");
  }

  /** Goal: equal parameters give equal text, in whatever order and type they came. */
  @Test
  void canonicalText() {
    Map<String, Object> a = merge(Map.of("top_k", 4L, "temperature", 1));
    Map<String, Object> b = merge(Map.of("temperature", "1.0", "top_k", "4"));
    assertThat(RowParams.json(a)).isEqualTo(RowParams.json(b));
    assertThat(RowParams.parsed(RowParams.json(a))).isEqualTo(a);
    Map<String, Object> c =
        merge(Map.of("max_tokens", 77, "stop", List.of("max_tokens", "{\"max_tokens\":1}")));
    assertThat(RowParams.maxTokens(RowParams.json(c))).isEqualTo(77);
  }

  /** Goal: seeds depend on job seed and key only; the row's own seed wins. */
  @Test
  void seeds() {
    JobConfig.RowDefaults job = new JobConfig.RowDefaults(DEFAULTS, 1, null, null, null);
    JobConfig.RowDefaults other = new JobConfig.RowDefaults(DEFAULTS, 2, null, null, null);
    String key = "0123456789abcdef0123456789abcdef";
    long seed = Seeds.ofRow(DEFAULTS, job, key);
    assertThat(seed).isEqualTo(Seeds.ofRow(DEFAULTS, job, key));
    assertThat(seed).isNotEqualTo(Seeds.ofRow(DEFAULTS, other, key));
    assertThat(seed).isNotEqualTo(Seeds.ofRow(DEFAULTS, job, key.replace('f', 'e')));
    assertThat(Seeds.ofRow(merge(Map.of("seed", 42)), job, key)).isEqualTo(42);
    assertThat(Seeds.ofSample(42, 0)).isEqualTo(42);
    assertThat(Seeds.ofSample(42, 1)).isNotEqualTo(Seeds.ofSample(42, 2));
  }

  /** Goal: templates fill columns, keep doubled braces and refuse broken ones. */
  @Test
  void promptTemplates() {
    PromptTemplate t = PromptTemplate.parse("{{a}} {title}: {body}!");
    assertThat(t.columns()).containsExactly("title", "body");
    assertThat(t.fill(List.of("T", "{x}"))).isEqualTo("{a} T: {x}!");
    for (String wrong : List.of("no column", "{open", "close} {a}", "{}")) {
      assertThatThrownBy(() -> PromptTemplate.parse(wrong))
          .hasMessageContaining("--prompt-template");
    }
  }

  /** Goal: each policy keeps the part of the prompt that its name says. */
  @Test
  void longPrompts() {
    int[] tokens = new int[100];
    for (int i = 0; i < 100; i++) tokens[i] = i;
    var left = PromptLengths.fit(tokens, 20, 8, 0, JobConfig.LongPrompts.TRUNCATE_LEFT);
    assertThat(left).hasSize(12).startsWith(88).endsWith(99);
    var right = PromptLengths.fit(tokens, 20, 8, 0, JobConfig.LongPrompts.TRUNCATE_RIGHT);
    assertThat(right).hasSize(12).startsWith(0).endsWith(11);
    var middle = PromptLengths.fit(tokens, 20, 8, 0, JobConfig.LongPrompts.TRUNCATE_MIDDLE);
    assertThat(middle).containsExactly(0, 1, 2, 3, 4, 5, 94, 95, 96, 97, 98, 99);
    assertThat(PromptLengths.fit(tokens, 200, 8, 7, JobConfig.LongPrompts.ERROR))
        .containsExactly(93, 94, 95, 96, 97, 98, 99);
    assertThat(PromptLengths.fit(tokens, 101, 500, 0, JobConfig.LongPrompts.ERROR)).hasSize(100);
    assertThatThrownBy(() -> PromptLengths.fit(tokens, 100, 1, 0, JobConfig.LongPrompts.ERROR))
        .hasMessageContaining("100 tokens")
        .hasMessageContaining("99");
  }

  private static Map<String, Object> merge(Map<String, ?> row) {
    return RowParams.merge(DEFAULTS, row, UnknownParams.ERROR);
  }
}
