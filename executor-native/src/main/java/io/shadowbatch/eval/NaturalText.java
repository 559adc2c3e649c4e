package io.shadowbatch.eval;

import io.shadowbatch.tokens.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPInputStream;

/** English prose in the public domain, cut to tokens of a model: see {@code austen.md}. */
final class NaturalText {
  /** A token is no longer than this on the average: where a passage may begin. */
  private static final int CHARS_PER_TOKEN = 8;

  private final List<String> works;

  private NaturalText(List<String> works) {
    this.works = works;
  }

  /** The texts that come with the engine. */
  static NaturalText load() {
    try (InputStream file = NaturalText.class.getResourceAsStream("austen.txt.gz");
        InputStream text = new GZIPInputStream(file)) {
      return new NaturalText(
          List.of(new String(text.readAllBytes(), StandardCharsets.UTF_8).split("\f")));
    } catch (IOException e) {
      throw new UncheckedIOException("the texts of the evaluation cannot be read", e);
    }
  }

  /**
   * Passages of exactly {@code tokens} tokens that begin with a paragraph, spread over all works,
   * one work after the other; they lie apart as long as the works are long enough.
   *
   * @throws IllegalArgumentException if a work is too short for a passage
   */
  List<int[]> passages(Tokenizer tokenizer, int count, int tokens, Random random) {
    int rounds = (count + works.size() - 1) / works.size();
    List<int[]> passages = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String work = works.get(i % works.size());
      int room = Math.max(1, work.length() - tokens * CHARS_PER_TOKEN);
      int round = i / works.size();
      // Anywhere in the first half of the work's part for this round.
      double at = (round + random.nextDouble() / 2) / rounds;
      passages.add(passage(tokenizer, work, (int) (at * room), tokens));
    }
    return passages;
  }

  private static int[] passage(Tokenizer tokenizer, String work, int near, int tokens) {
    int end = work.lastIndexOf("\n\n", near);
    int start = end < 0 ? 0 : end + 2;
    for (int chars = 6 * tokens; ; chars *= 2) {
      int to = Math.min(work.length(), start + chars);
      int[] ids = tokenizer.encode(work.substring(start, to));
      // The last token may be cut off by the end of the text.
      if (ids.length > tokens) return Arrays.copyOf(ids, tokens);
      if (to == work.length()) {
        throw new IllegalArgumentException(
            "a passage of %d tokens: the text has %d from character %d; ask for fewer tokens"
                .formatted(tokens, ids.length, start));
      }
    }
  }
}
