package io.shadowbatch.fuzz;

import io.shadowbatch.tokens.template.TemplateTarget;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What fuzzing once found, in {@code src/test/resources/fuzz/}, stays found. */
class FuzzReplayTest {

  static Stream<FuzzTarget> targets() {
    return Stream.of(
        new GgufTarget(),
        new SafetensorsTarget(),
        new ConfigTarget(),
        new TokenizerJsonTarget(),
        new GgufTokenizerTarget(),
        new TemplateTarget());
  }

  @ParameterizedTest
  @MethodSource("targets")
  void keptInputsLeadToDocumentedExceptionsOnly(FuzzTarget target) throws Exception {
    FuzzReplay.of(target);
  }
}
