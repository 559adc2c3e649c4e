package io.shadowbatch.eval;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * A set of cases with its sizes.
 *
 * @param cases how many
 * @param tokens of a prompt; of the trunk where requests share one
 * @param asks requests of a case
 * @param rows most rows behind each prompt
 */
record Suite(Kind kind, int cases, int tokens, int asks, int rows) {

  /** What a case is made of. */
  enum Kind {
    /** A pass key in prose, asked for. */
    NEEDLE4K(20, 4096, 1, 16),
    /** Prose: the last 64 tokens are scored, and count among the tokens. */
    NAT2K(32, 2048, 1, 64),
    /** The same with twice the tokens. */
    NAT4K(6, 4096, 1, 64),
    /** Questions about a text that they share. */
    GROUP4K(8, 4096, 16, 16),
    /** Questions about a text, one after the other, each with all before. */
    TURNS4K(8, 4096, 5, 32),
    /** Long answers drawn from the dense run. */
    GEN1K(16, 1024, 1, 1024),
    /** Fields spread over prose, to be written as JSON. */
    JSON4K(16, 4096, 1, 112);

    private final Suite standard;

    Kind(int cases, int tokens, int asks, int rows) {
      this.standard = new Suite(this, cases, tokens, asks, rows);
    }
  }

  /** A suite by its name, in its standard size. */
  static Suite of(String name) {
    for (Kind kind : Kind.values()) {
      if (kind.standard.name().equals(name)) return kind.standard;
    }
    throw new IllegalArgumentException(
        "--suite: expected some of %s, got '%s'".formatted(names(), name));
  }

  static List<String> names() {
    return Arrays.stream(Kind.values()).map(k -> k.standard.name()).toList();
  }

  String name() {
    return kind.name().toLowerCase(Locale.ROOT);
  }

  /** The same cases with prompts of another length. */
  Suite withTokens(int other) {
    return new Suite(kind, cases, other, asks, rows);
  }
}
