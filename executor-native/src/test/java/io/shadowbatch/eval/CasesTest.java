package io.shadowbatch.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.eval.EvalCase.Ask;
import io.shadowbatch.eval.EvalCase.Continuation;
import io.shadowbatch.tokens.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The cases of all suites in their standard sizes, with a tiny tokenizer. */
class CasesTest {
  private static final long SEED = 7;

  @TempDir Path folder;

  private final NaturalText text = NaturalText.load();
  private ChatFrame frame;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    frame = EvalModel.frame(EvalModel.write(folder, SEED));
    tokenizer = frame.tokenizer();
  }

  private List<EvalCase> cases(String suite, long seed) {
    return Cases.of(Suite.of(suite), frame, text, seed);
  }

  private String decoded(int[] tokens) {
    return tokenizer.decode(tokens, 0, tokens.length);
  }

  private static String shown(List<EvalCase> cases) {
    StringBuilder all = new StringBuilder();
    for (EvalCase c : cases) {
      all.append(Arrays.toString(c.trunk()));
      for (Ask ask : c.asks()) {
        all.append(Arrays.toString(ask.tokens())).append(Arrays.toString(ask.known()));
        all.append(ask.key()).append(ask.rows()).append(ask.from());
      }
    }
    return all.toString();
  }

  @Test
  void casesDependOnTheSeedAndOnNothingElse() {
    for (String suite : Suite.names()) {
      String first = shown(cases(suite, SEED));
      assertThat(shown(cases(suite, SEED))).as(suite).isEqualTo(first);
      assertThat(shown(cases(suite, SEED + 1))).as(suite).isNotEqualTo(first);
    }
  }

  @Test
  void suitesHaveTheStatedCasesAndTokens() {
    for (String name : Suite.names()) {
      Suite suite = Suite.of(name);
      List<EvalCase> cases = cases(name, SEED);
      assertThat(cases).as(name).hasSize(suite.cases());
      for (EvalCase c : cases) {
        assertThat(c.asks()).as(name).hasSize(suite.asks());
        if (suite.asks() > 1) {
          assertThat(c.trunk()).as(name).hasSize(suite.tokens());
          continue;
        }
        Ask ask = c.asks().get(0);
        int known = ask.known() == null ? 0 : ask.known().length;
        assertThat(c.trunk()).isEmpty();
        assertThat(ask.tokens().length + known).as(name).isEqualTo(suite.tokens());
        assertThat(ask.rows()).isEqualTo(suite.rows());
        if (ask.from() == Continuation.KNOWN) assertThat(known).isEqualTo(suite.rows());
      }
    }
  }

  @Test
  void needlesLieAtTenDepths() {
    List<Integer> tenths = new ArrayList<>();
    Set<String> keys = new HashSet<>();
    for (EvalCase c : cases("needle4k", SEED)) {
      String prompt = decoded(c.asks().get(0).tokens());
      String digits = ((AnswerKey.Number) c.asks().get(0).key()).digits();
      int at = prompt.indexOf("The pass key is " + digits + ".");
      assertThat(at).as(digits).isPositive();
      assertThat(prompt).endsWith("The pass key is");
      tenths.add(10 * at / prompt.length());
      keys.add(digits);
    }
    // The needle moves back to a sentence's end, at most into the tenth before.
    assertThat(new HashSet<>(tenths)).hasSizeGreaterThanOrEqualTo(7);
    assertThat(keys).hasSizeGreaterThan(15);
  }

  @Test
  void everyFieldOfAnExtractionIsInItsPrompt() {
    for (EvalCase c : cases("json4k", SEED)) {
      String prompt = decoded(c.asks().get(0).tokens());
      AnswerKey.Fields key = (AnswerKey.Fields) c.asks().get(0).key();
      assertThat(key.values()).hasSize(8);
      int last = 0;
      for (var field : key.values().entrySet()) {
        int at = prompt.indexOf("\"" + field.getKey() + "\" is: \"" + field.getValue() + "\"");
        assertThat(at).as(field.getKey()).isGreaterThan(last);
        last = at;
      }
      assertThat(prompt).endsWith(key.opening());
    }
  }

  @Test
  void passagesOfASuiteLieApart() {
    Set<String> beginnings = new HashSet<>();
    for (EvalCase c : cases("nat2k", SEED)) {
      beginnings.add(decoded(Arrays.copyOf(c.asks().get(0).tokens(), 100)));
    }
    assertThat(beginnings).hasSize(32);
  }

  @Test
  void aPromptThatIsTooShortForItsQuestionIsRefused() {
    for (String name : List.of("needle4k", "json4k", "nat4k")) {
      assertThatThrownBy(() -> Cases.of(Suite.of(name).withTokens(20), frame, text, SEED))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("--tokens");
    }
    assertThatThrownBy(() -> Cases.of(Suite.of("nat2k").withTokens(400_000), frame, text, SEED))
        .hasMessageContaining("ask for fewer tokens");
  }
}
