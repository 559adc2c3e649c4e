package io.shadowbatch.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shadowbatch.weights.TinyVocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tokenizers out of hostile files are refused with a reason. */
class HostileTokenizerTest {
  private static final String FIRST = "\"<|endoftext|>\":0";
  private static final int STACK_BYTES = 256 << 10;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"-1", "2147483647", "4294967296", "1e3", "\"0\"", "null", "1.5"})
  void idThatTheTableHasNoPlaceForIsRefused(String id) throws IOException {
    String json = TinyVocabulary.tokenizerJson();
    String inVocabulary = json.replace(FIRST, "\"<|endoftext|>\":" + id);
    String inAdded = json.replace("{\"id\":0,", "{\"id\":" + id + ",");
    for (String hostile : new String[] {inVocabulary, inAdded}) {
      assertThat(hostile).isNotEqualTo(json);
      assertThatExceptionOfType(TokenizerException.class)
          .isThrownBy(() -> open(hostile))
          .withMessageContaining("expected token ids in [0, 4194304)");
    }
  }

  @Test
  void addedTokenWithoutTextIsRefused() {
    String json =
        TinyVocabulary.tokenizerJson().replace("\"content\":\"<|im_start|>\"", "\"content\":7");
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> open(json))
        .withMessageContaining("a text as content of each of added_tokens, got 7");
  }

  /** The library numbers such a token itself, above all that the file names. */
  @Test
  void tokenThatTheFileDoesNotNumberIsRefusedWhenItComes() throws IOException {
    String json =
        TinyVocabulary.tokenizerJson()
            .replace("\"content\":\"<|im_start|>\"", "\"content\":\"<new>\"");
    Tokenizer tokenizer = open(json);
    assertThat(tokenizer.encode("the")).isNotEmpty();
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> tokenizer.encode("a <new> b"))
        .withMessageContaining("got token 300 of a tokenizer.json that names tokens below 300");
  }

  /** Replacements in a row multiply: these would make a million characters of one. */
  @ParameterizedTest
  @ValueSource(strings = {"{\"String\":\"a\"}", "{\"String\":\"\"}", "{\"Regex\":\"a*\"}"})
  void normalizerThatMakesTextsGrowWithoutBoundIsRefused(String pattern) {
    String step = "{\"type\":\"Replace\",\"pattern\":%s,\"content\":\"aaaa\"}".formatted(pattern);
    String steps = String.join(",", java.util.Collections.nCopies(10, step));
    String json =
        TinyVocabulary.tokenizerJson()
            .replace(
                "\"normalizer\":null",
                "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" + steps + "]}");
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> open(json))
        .withMessageContaining("at most 16 times as long");
  }

  @Test
  void normalizerThatReplacesWhatItFindsIsAccepted() throws IOException {
    String step = "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"}";
    String json =
        TinyVocabulary.tokenizerJson().replace("\"normalizer\":null", "\"normalizer\":" + step);
    assertThat(open(json).encode("a b")).isEqualTo(open(json).encode("a_b"));
  }

  /** The library's own parser refuses these too, but inside a part it ends the process. */
  @ParameterizedTest
  @ValueSource(strings = {"\"\\ud800\"", "1e999", "DEEP"})
  void valueThatTheLibraryCannotParseIsRefusedBeforeItSeesIt(String value) {
    String hostile = value.replace("DEEP", "[".repeat(130) + "]".repeat(130));
    String json =
        TinyVocabulary.tokenizerJson()
            .replace("\"decoder\":{", "\"decoder\":{\"x\":" + hostile + ",");
    assertThat(json).contains(hostile);
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> open(json))
        .withMessageContaining("tokenizer.json");
  }

  @Test
  void tokensThatWouldBeRandomAreRefused() {
    String json = TinyVocabulary.tokenizerJson().replace("\"dropout\":null", "\"dropout\":0.1");
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> open(json))
        .withMessageContaining("model.dropout null or 0");
  }

  @Test
  void errorAboutAPartOfTheFileIsShort() {
    String json =
        TinyVocabulary.tokenizerJson()
            .replaceAll("\"decoder\":\\{[^}]*}", "\"decoder\":\"" + "x".repeat(100_000) + "\"");
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> open(json))
        .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(500));
  }

  /** Each piece is an unused one and a letter: as deep as there are tokens. */
  @Test
  void piecesThatComeApartAgainNeedNoStack() throws Exception {
    int depth = 4000;
    String[] tokens = new String[depth];
    int[] types = new int[depth];
    for (int i = 0; i < depth; i++) {
      tokens[i] = "a".repeat(i + 1);
      types[i] = i == 0 ? GgufVocabulary.NORMAL : GgufVocabulary.UNUSED;
    }
    GgufVocabulary vocabulary =
        new GgufVocabulary(
            "llama",
            "",
            tokens,
            types,
            new String[0],
            new float[depth],
            -1,
            -1,
            -1,
            false,
            false,
            false,
            false);
    Tokenizer tokenizer = Tokenizer.of(vocabulary);
    FutureTask<int[]> encoding = new FutureTask<>(() -> tokenizer.encode("a".repeat(depth)));
    Thread thread = new Thread(null, encoding, "small stack", STACK_BYTES);
    thread.start();
    assertThat(encoding.get()).hasSize(depth).containsOnly(0);
  }

  /** A prompt must not get into messages, which are logged and kept. */
  @Test
  void textThatCannotBeEncodedIsNotInTheError() {
    GgufVocabulary vocabulary =
        new GgufVocabulary(
            "llama",
            "",
            new String[] {"a"},
            new int[0],
            new String[0],
            new float[1],
            -1,
            -1,
            -1,
            false,
            false,
            false,
            false);
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> Tokenizer.of(vocabulary).encode("a\u4e16a"))
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\u4e16"));
  }

  private Tokenizer open(String json) throws IOException {
    return Tokenizer.open(Files.writeString(folder.resolve("tokenizer.json"), json));
  }
}
