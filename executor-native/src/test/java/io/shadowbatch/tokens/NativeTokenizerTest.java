package io.shadowbatch.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Byte-level vocabularies: ids by rank, bytes per token, and texts that must not end the process.
 */
class NativeTokenizerTest {
  private static final int SPECIAL = 256; // <|end|>
  private static final int TOOL = 257; // <tool>, user defined
  private static final int UNUSED = 258;
  private static final String[] MERGES = {"h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "1 2"};

  private static GgufVocabulary vocabulary(String pre, boolean addBos) {
    List<String> tokens = new ArrayList<>();
    int[] types = new int[259 + MERGES.length];
    for (int b = 0; b < 256; b++) {
      tokens.add(Character.toString(ByteLevel.character(b)));
    }
    tokens.addAll(List.of("<|end|>", "<tool>", "[PAD]"));
    for (String merge : MERGES) {
      tokens.add(merge.replace(" ", ""));
    }
    java.util.Arrays.fill(types, GgufVocabulary.NORMAL);
    types[SPECIAL] = GgufVocabulary.CONTROL;
    types[TOOL] = GgufVocabulary.USER_DEFINED;
    types[UNUSED] = GgufVocabulary.UNUSED;
    return new GgufVocabulary(
        "gpt2",
        pre,
        tokens.toArray(String[]::new),
        types,
        MERGES,
        new float[0],
        SPECIAL,
        SPECIAL,
        -1,
        addBos,
        addBos,
        false,
        false);
  }

  private static final Tokenizer GPT2 = Tokenizer.of(vocabulary("gpt-2", true));

  private static int id(String token) {
    return List.of(vocabulary("gpt-2", false).tokens()).indexOf(token);
  }

  @Test
  void mergesRunInRankOrderAndSpecialsAreParsed() {
    assertThat(GPT2.encode("hello wo<|end|><tool>hell"))
        .containsExactly(id("hello"), id("Ġwo"), SPECIAL, TOOL, id("hell"));
    assertThat(GPT2.encode("")).isEmpty();
    assertThat(GPT2.encodeWithModelSpecials("hello"))
        .containsExactly(SPECIAL, id("hello"), SPECIAL);
    assertThat(Tokenizer.of(vocabulary("gpt-2", false)).encodeWithModelSpecials("hello"))
        .containsExactly(id("hello"));
  }

  @Test
  void decodingLeavesSpecialsOutUnlessAsked() {
    int[] ids = GPT2.encode("hello<|end|><tool> wo");
    assertThat(GPT2.decode(ids, 0, ids.length)).isEqualTo("hello<tool> wo");
    assertThat(GPT2.decodeWithSpecials(ids, 0, ids.length)).isEqualTo("hello<|end|><tool> wo");
    assertThat(GPT2.decode(ids, 1, 1)).isEmpty();
    assertThatThrownBy(() -> GPT2.decode(ids, 2, 9)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> GPT2.decode(new int[] {-1}, 0, 1))
        .hasMessageContaining("[0, " + GPT2.vocabularySize() + ")")
        .hasMessageContaining("-1");
  }

  @Test
  void bytesOfTokensAddUpToTheText() throws IOException {
    long seed = 7;
    System.out.println("seed " + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      StringBuilder text = new StringBuilder();
      for (int i = 0; i < 40; i++) {
        int c = random.nextInt(4) == 0 ? random.nextInt(0x10FFFF) : random.nextInt(128);
        text.appendCodePoint(c >= 0xD800 && c < 0xE000 ? ' ' : c);
      }
      int[] ids = GPT2.encode(text.toString());
      ByteArrayOutputStream all = new ByteArrayOutputStream();
      for (int id : ids) {
        all.write(GPT2.bytes(id));
      }
      assertThat(all.toByteArray())
          .as("seed %s round %s", seed, round)
          .isEqualTo(text.toString().getBytes(StandardCharsets.UTF_8));
      assertThat(GPT2.decode(ids, 0, ids.length)).isEqualTo(text.toString());
    }
  }

  @Test
  void halfACharacterDecodesToTheReplacementCharacter() {
    int[] ids = GPT2.encode("é");
    assertThat(ids).hasSize(2);
    assertThat(GPT2.decode(ids, 0, 1)).isEqualTo("\uFFFD");
    assertThat(GPT2.bytes(ids[0])).containsExactly(0xC3);
    assertThat(GPT2.bytes(SPECIAL)).isEmpty();
    assertThat(GPT2.bytes(UNUSED)).isEmpty();
    assertThat(GPT2.isSpecial(SPECIAL)).isTrue();
    assertThat(GPT2.isSpecial(TOOL)).isFalse();
  }

  @Test
  void preTokenizersSplitDigitsAsTheirFamiliesDo() {
    int one = id("1");
    assertThat(GPT2.encode("12")).containsExactly(id("12"));
    assertThat(Tokenizer.of(vocabulary("smollm", false)).encode("12"))
        .containsExactly(one, id("2"));
    assertThat(Tokenizer.of(vocabulary("qwen2", false)).encode("12")).containsExactly(one, id("2"));
    assertThat(Tokenizer.of(vocabulary("llama-bpe", false)).encode("0001212"))
        .containsExactly(id("0"), id("0"), id("0"), id("12"), one, id("2"));
  }

  @Test
  void qwenTextIsBroughtToComposedForm() {
    Tokenizer qwen = Tokenizer.of(vocabulary("qwen2", false));
    assertThat(qwen.encode("e\u0301")).isEqualTo(qwen.encode("\u00e9"));
    assertThat(GPT2.encode("e\u0301")).isNotEqualTo(GPT2.encode("\u00e9"));
  }

  @Test
  void unknownNamesAreRefusedWithTheKnownOnes() {
    assertThatThrownBy(() -> Tokenizer.of(vocabulary("frob", false)))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("'frob'")
        .hasMessageContaining("qwen2")
        .hasMessageContaining("smollm");
    GgufVocabulary v = vocabulary("gpt-2", false);
    GgufVocabulary other =
        new GgufVocabulary(
            "t5",
            "",
            v.tokens(),
            v.types(),
            v.merges(),
            v.scores(),
            0,
            0,
            0,
            false,
            false,
            false,
            false);
    assertThatThrownBy(() -> Tokenizer.of(other)).hasMessageContaining("'t5'");
  }

  @Test
  void bosDefaultsFollowTheFamily() {
    assertThat(GgufVocabulary.addsBosByDefault("llama", "")).isTrue();
    assertThat(GgufVocabulary.addsBosByDefault("gpt2", "llama-bpe")).isTrue();
    assertThat(GgufVocabulary.addsBosByDefault("gpt2", "qwen2")).isFalse();
  }

  @Test
  void textsThatNativeCodeMustNotSeeAreRefused() {
    for (String bad : List.of("a\uD800", "\uDC00b", "\uD800\uD800\uDC00")) {
      assertThatExceptionOfType(TokenizerException.class)
          .isThrownBy(() -> GPT2.encode(bad))
          .withMessageContaining("unpaired surrogate");
    }
    for (String run : List.of(" ", "a", "\n", "\u00a0", "A")) {
      assertThatExceptionOfType(TokenizerException.class)
          .isThrownBy(() -> GPT2.encode(run.repeat(10 << 20)))
          .withMessageContaining("run");
    }
    assertThatExceptionOfType(TokenizerException.class)
        .isThrownBy(() -> GPT2.encode("a ".repeat(Tokenizer.TEXT_CHARS_MAX / 2 + 1)))
        .withMessageContaining("at most " + Tokenizer.TEXT_CHARS_MAX);
  }

  @Test
  void longestAllowedRunsSurviveEveryPreTokenizer() {
    int run = TextCheck.RUN_CHARS_MAX;
    for (String pre :
        List.of("gpt-2", "smollm", "default", "llama-bpe", "qwen2", "gpt-4o", "tekken")) {
      Tokenizer tokenizer = Tokenizer.of(vocabulary(pre, false));
      for (String unit : List.of(" ", "A")) {
        String text =
            "x" + (unit.equals(" ") ? "" : " ") + unit.repeat(run) + (unit.equals(" ") ? "y" : "");
        int[] ids = tokenizer.encode(text);
        assertThat(tokenizer.decode(ids, 0, ids.length)).as(pre).isEqualTo(text);
      }
    }
  }

  @Test
  void nulAndMegabytesOfTextAreEncoded() {
    String text = "\u0000hello wo\n".repeat(1 << 18);
    int[] ids = GPT2.encode(text);
    assertThat(GPT2.decode(ids, 0, ids.length)).isEqualTo(text);
  }

  @Test
  void oneTokenizerServesManyThreads() {
    String text = "hello wo 12<|end|>é ".repeat(50);
    int[] expected = GPT2.encode(text);
    assertThat(
            IntStream.range(0, 400)
                .parallel()
                .allMatch(i -> java.util.Arrays.equals(GPT2.encode(text), expected)))
        .isTrue();
  }

  @Test
  void tokenizerJsonGivesTheSameIds(@TempDir Path folder) throws IOException {
    GgufVocabulary v = vocabulary("gpt-2", false);
    Path file = folder.resolve("tokenizer.json");
    Files.writeString(file, GgufTokenizers.json(v));
    Tokenizer tokenizer = Tokenizer.open(file);
    String text = "hello wo 12<|end|><tool>é";
    assertThat(tokenizer.encode(text)).isEqualTo(GPT2.encode(text));
    int[] ids = tokenizer.encodeWithModelSpecials(text);
    assertThat(tokenizer.decode(ids, 0, ids.length)).isEqualTo("hello wo 12<tool>é");
    assertThat(tokenizer.vocabularySize()).isEqualTo(v.tokens().length);
  }

  @Test
  void brokenTokenizerJsonIsRefused(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("tokenizer.json");
    assertThatThrownBy(() -> Tokenizer.open(file)).hasMessageContaining("cannot read");
    for (String bad :
        List.of(
            "{",
            "{}",
            "{\"model\":{\"vocab\":{}}}",
            "{\"model\":{\"vocab\":{}},\"decoder\":{\"type\":\"ByteLevel\"}}")) {
      Files.writeString(file, bad);
      assertThatExceptionOfType(TokenizerException.class).isThrownBy(() -> Tokenizer.open(file));
    }
  }
}
