package io.shadowbatch.bench;

import java.util.List;

/**
 * Prompts to complete, greedy, end token ignored.
 *
 * @param id as on the command line
 * @param prompts in shuffled order
 * @param kvTokens room for keys and values, in tokens; 0 for as much as the engine takes by default
 */
record Workload(String id, List<Prompt> prompts, int kvTokens) {

  /**
   * One request.
   *
   * @param tokens prompt token ids
   * @param outputs tokens to generate
   */
  record Prompt(int[] tokens, int outputs) {}

  /** Tokens of all prompts. */
  long promptTokens() {
    return prompts.stream().mapToLong(p -> p.tokens.length).sum();
  }

  /** Tokens to generate for all prompts. */
  long outputTokens() {
    return prompts.stream().mapToLong(Prompt::outputs).sum();
  }
}
