package io.shadowbatch.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Synthetic prompt sets of known shape; lengths in tokens of {@link #BYTES_PER_TOKEN} bytes. */
final class PlanWorkloads {

  static final int BYTES_PER_TOKEN = 4;

  private final Random random;
  private final List<byte[]> prompts = new ArrayList<>();

  private PlanWorkloads(long seed) {
    random = new Random(seed);
  }

  private byte[] tokens(int count) {
    return PlanPrompts.bytes(random, count * BYTES_PER_TOKEN);
  }

  private byte[] tokens(int min, int max) {
    return tokens(min + random.nextInt(max - min + 1));
  }

  private void add(byte[]... parts) {
    prompts.add(PlanPrompts.concat(parts));
  }

  /** BatchLLM's microbenchmark: a prefix of 2000 tokens for each {@code degree} prompts. */
  static List<byte[]> micro(long seed, int degree) {
    PlanWorkloads w = new PlanWorkloads(seed);
    for (int group = 0; group < 1280 / degree; group++) {
      byte[] prefix = w.tokens(2000);
      for (int i = 0; i < degree; i++) w.add(prefix, w.tokens(208));
    }
    return w.prompts;
  }

  /** Tasks of 500 to 1800 tokens of examples, then a question. */
  static List<byte[]> fewShot(long seed) {
    PlanWorkloads w = new PlanWorkloads(seed);
    for (int task = 0; task < 57; task++) {
      byte[] examples = w.tokens(500, 1800);
      for (int i = 0; i < 20; i++) w.add(examples, w.tokens(60, 160));
    }
    return w.prompts;
  }

  /** A system prompt, a Zipf choice of documents, one of eight instructions, a question. */
  static List<byte[]> systemAndDocuments(long seed) {
    PlanWorkloads w = new PlanWorkloads(seed);
    byte[] system = w.tokens(512);
    List<byte[]> documents = new ArrayList<>();
    List<byte[]> instructions = new ArrayList<>();
    for (int i = 0; i < 120; i++) documents.add(w.tokens(600, 1800));
    for (int i = 0; i < 8; i++) instructions.add(w.tokens(128));
    for (int i = 0; i < 1280; i++) {
      int rank = (int) Math.pow(120, w.random.nextDouble());
      byte[] instruction = instructions.get(w.random.nextInt(8));
      w.add(system, documents.get(rank - 1), instruction, w.tokens(20, 60));
    }
    return w.prompts;
  }

  /** Every turn of conversations: chains in which each prompt begins the next. */
  static List<byte[]> conversations(long seed) {
    PlanWorkloads w = new PlanWorkloads(seed);
    byte[] system = w.tokens(200);
    for (int i = 0; i < 160; i++) {
      byte[] said = system;
      int turns = 4 + w.random.nextInt(9);
      for (int turn = 0; turn < turns; turn++) {
        said = PlanPrompts.concat(said, w.tokens(80, 300));
        w.add(said);
      }
    }
    return w.prompts;
  }

  /** Trees of thought: four children a node, three levels, 64 leaves. */
  static List<byte[]> thoughts(long seed) {
    PlanWorkloads w = new PlanWorkloads(seed);
    for (int tree = 0; tree < 16; tree++) {
      byte[] question = w.tokens(600);
      for (int a = 0; a < 4; a++) {
        byte[] first = PlanPrompts.concat(question, w.tokens(200));
        w.add(first);
        for (int b = 0; b < 4; b++) {
          byte[] second = PlanPrompts.concat(first, w.tokens(200));
          w.add(second);
          for (int c = 0; c < 4; c++) w.add(second, w.tokens(200));
        }
      }
    }
    return w.prompts;
  }

  /** Nothing shared. */
  static List<byte[]> strangers(long seed) {
    PlanWorkloads w = new PlanWorkloads(seed);
    for (int i = 0; i < 1000; i++) w.add(w.tokens(100, 1500));
    return w.prompts;
  }
}
