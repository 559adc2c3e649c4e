package io.shadowbatch.bench;

import io.shadowbatch.bench.Workload.Prompt;
import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;

/**
 * What one run of a workload on a fresh engine took.
 *
 * @param seconds wall time from the first request to the last answer
 * @param prefillTokens tokens computed that were not the latest generated one, recomputed ones too
 * @param decodeTokens latest generated tokens computed
 * @param steps of the engine
 * @param kvBytesPeak most bytes of keys and values held, kept prefixes too
 * @param preemptions sequences that lost their memory
 * @param answers hash of all generated tokens by prompt
 */
record WorkloadRun(
    double seconds,
    long prefillTokens,
    long decodeTokens,
    long steps,
    long kvBytesPeak,
    long preemptions,
    int answers) {

  /** Shorter than a page, so that it leaves no prefix behind. */
  private static final Prompt WARM_UP = new Prompt(new int[32], 2);

  /** An engine whose code ran once, without prefixes. */
  static Engine open(EngineConfig config) throws IOException {
    Engine engine = Engine.open(config);
    answer(engine, List.of(WARM_UP), List.of(0), new int[1][]);
    return engine;
  }

  /** Runs the prompts in some order on an engine of their own, so that none finds a prefix. */
  static WorkloadRun of(EngineConfig config, List<Prompt> prompts, List<Integer> order)
      throws IOException {
    try (Engine engine = open(config)) {
      int[][] answers = new int[prompts.size()][];
      EngineMetrics before = engine.metrics();
      long t0 = System.nanoTime();
      answer(engine, prompts, order, answers);
      double seconds = (System.nanoTime() - t0) / 1e9;
      EngineMetrics after = engine.metrics();
      return new WorkloadRun(
          seconds,
          after.scheduler().prefillTokens() - before.scheduler().prefillTokens(),
          after.scheduler().decodeTokens() - before.scheduler().decodeTokens(),
          after.scheduler().steps() - before.scheduler().steps(),
          after.kvBytesPeak(),
          after.scheduler().preemptions() - before.scheduler().preemptions(),
          Arrays.deepHashCode(answers));
    }
  }

  /**
   * Feeds some of the prompts to an engine and waits for their answers.
   *
   * @param order indices of those prompts
   * @param answers to be filled with generated tokens, by prompt
   */
  static void answer(Engine engine, List<Prompt> prompts, List<Integer> order, int[][] answers) {
    List<Request> requests = new ArrayList<>();
    for (int i : order) requests.add(request(i, prompts.get(i)));
    Iterator<Completion> completions = engine.run(requests.iterator(), () -> false);
    while (completions.hasNext()) {
      Completion c = completions.next();
      int expected = prompts.get((int) c.id()).outputs();
      if (c.error() != null || c.tokenIds().length != expected) {
        throw new IllegalStateException(
            "prompt %d: expected %d tokens, got %d, error %s"
                .formatted(c.id(), expected, c.tokenIds().length, c.error()));
      }
      answers[(int) c.id()] = c.tokenIds();
    }
  }

  /** Greedy, end token ignored, so that exactly the prompt's outputs are generated. */
  static Request request(int id, Prompt prompt) {
    int out = prompt.outputs();
    return new Request(
        id,
        prompt.tokens(),
        new SamplingParams(out, out, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, true));
  }
}
