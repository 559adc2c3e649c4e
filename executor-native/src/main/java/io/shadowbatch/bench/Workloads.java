package io.shadowbatch.bench;

import io.shadowbatch.bench.Workload.Prompt;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * The workloads of the benchmark, in the sizes for a CPU and a model of 135M parameters. Token ids
 * are uniform random numbers from a seed: which ids they are changes no count, only that prompts
 * are as alike as they are meant to be. Sizes below are in tokens.
 */
final class Workloads {
  /** All, in the order in which they are run. */
  static final List<String> IDS =
      List.of(
          "M2",
          "M4",
          "M16",
          "M64",
          "MB",
          "MX",
          "SD",
          "FS",
          "REL_GOOD",
          "REL_BAD",
          "CV",
          "UQ",
          "DUP");

  private static final int IDS_FROM = 10;
  private static final int IDS_TO = 49_000;
  private static final int OUT = 16;

  private final Random random;
  private final int vocabulary;
  private final List<Prompt> prompts = new ArrayList<>();

  private Workloads(long seed, int vocabulary) {
    this.random = new Random(seed);
    this.vocabulary = Math.min(vocabulary, IDS_TO);
  }

  /** A workload for a model with so many token ids; the same for the same seed. */
  static Workload of(String id, long seed, int vocabulary) {
    Workloads w = new Workloads(seed, vocabulary);
    switch (id) {
      case "M2", "M4", "M16", "M64" -> w.groups(64, 256, Integer.parseInt(id.substring(1)));
      case "MB" -> w.groups(256, 512, 16);
      case "MX" -> w.mixed();
      case "SD" -> w.documents();
      case "FS" -> w.fewShot();
      case "REL_GOOD" -> w.relation(List.of(0, 1, 2));
      case "REL_BAD" -> w.relation(List.of(2, 0, 1));
      case "CV" -> w.conversations();
      case "UQ" -> w.groups(32, 0, 1);
      case "DUP" -> w.duplicates();
      default -> throw new IllegalArgumentException("workload " + id + ", expected one of " + IDS);
    }
    Collections.shuffle(w.prompts, w.random);
    return new Workload(id, List.copyOf(w.prompts), id.equals("MB") ? 5 * 1024 : 0);
  }

  /**
   * Prompts of {@link TailBench} in depth-first order, as tasks cut them: groups of 16 with 128
   * shared and 16 own tokens; outputs lognormal with mean 24 and sigma 0.8, 1..96.
   */
  static List<Prompt> tails(int count, long seed, int vocabulary) {
    Workloads w = new Workloads(seed, vocabulary);
    double sigma = 0.8;
    double mu = Math.log(24) - sigma * sigma / 2;
    int[] prefix = {};
    for (int i = 0; i < count; i++) {
      if (i % 16 == 0) prefix = w.tokens(128);
      long outputs = Math.round(Math.exp(mu + sigma * w.random.nextGaussian()));
      w.prompt((int) Math.max(1, Math.min(96, outputs)), prefix, w.tokens(16));
    }
    return w.prompts;
  }

  private int[] tokens(int count) {
    return random.ints(count, IDS_FROM, vocabulary).toArray();
  }

  private int[] between(int least, int most) {
    return tokens(least + random.nextInt(most - least + 1));
  }

  private List<int[]> texts(int count, int least, int most) {
    List<int[]> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) texts.add(between(least, most));
    return texts;
  }

  private void prompt(int outputs, int[]... parts) {
    prompts.add(new Prompt(joined(parts), outputs));
  }

  private static int[] joined(int[]... parts) {
    return IntStream.range(0, parts.length).flatMap(i -> IntStream.of(parts[i])).toArray();
  }

  /** Groups of {@code degree} prompts with one prefix, 32 own; prompts of 288 without a prefix. */
  private void groups(int count, int prefixTokens, int degree) {
    for (int i = 0; i < count / degree; i++) {
      int[] prefix = tokens(prefixTokens);
      for (int j = 0; j < degree; j++) {
        prompt(OUT, prefix, tokens(prefixTokens == 0 ? 288 : 32));
      }
    }
  }

  /** 8 groups of 8 that are all prompt (512/16/2), 8 that are all answer (64/16/48). */
  private void mixed() {
    for (int i = 0; i < 8; i++) {
      int[] large = tokens(512);
      int[] small = tokens(64);
      for (int j = 0; j < 8; j++) {
        prompt(2, large, tokens(16));
        prompt(48, small, tokens(16));
      }
    }
  }

  /** System text of 64, one of 24 documents (Zipf, 120..200), one of 4 instructions, a query. */
  private void documents() {
    int[] system = tokens(64);
    List<int[]> documents = texts(24, 120, 200);
    List<int[]> instructions = texts(4, 12, 20);
    double all = 0;
    for (int i = 1; i <= documents.size(); i++) all += 1.0 / i;
    for (int n = 0; n < 128; n++) {
      double at = random.nextDouble() * all;
      int i = 0;
      while (i < documents.size() - 1 && (at -= 1.0 / (i + 1)) > 0) i++;
      prompt(OUT, system, documents.get(i), instructions.get(random.nextInt(4)), between(12, 20));
    }
  }

  /** 8 tasks with examples of 160..224, 12 texts of 16..32 each, one token out. */
  private void fewShot() {
    for (int[] examples : texts(8, 160, 224)) {
      for (int j = 0; j < 12; j++) prompt(1, examples, between(16, 32));
    }
  }

  /**
   * Instruction of 16, then 3 columns in some order: 0 has 4 values of about 96, 1 has 16 of about
   * 48, 2 is unique, about 24. Column 2 first leaves nothing but the instruction to share.
   */
  private void relation(List<Integer> columns) {
    int[] instruction = tokens(16);
    List<int[]> few = texts(4, 80, 112);
    List<int[]> some = texts(16, 40, 56);
    for (int row = 0; row < 128; row++) {
      List<int[]> values =
          List.of(few.get(random.nextInt(4)), some.get(random.nextInt(16)), between(20, 28));
      prompt(
          OUT,
          instruction,
          values.get(columns.get(0)),
          values.get(columns.get(1)),
          values.get(columns.get(2)));
    }
  }

  /** System text of 32, 12 conversations of 3..7 turns; each turn with all before is a prompt. */
  private void conversations() {
    int[] system = tokens(32);
    for (int i = 0; i < 12; i++) {
      int[] history = system;
      int turns = 3 + random.nextInt(5);
      for (int turn = 0; turn < turns; turn++) {
        history = joined(history, between(24, 56));
        prompt(OUT, history);
        // Recorded answers: the prompts do not depend on the model.
        history = joined(history, between(24, 56));
      }
    }
  }

  /** 32 prompts of 288, each twice. */
  private void duplicates() {
    groups(32, 0, 1);
    prompts.addAll(List.copyOf(prompts));
  }
}
