package io.shadowbatch.request;

import java.util.List;

/**
 * How the tokens of a completion are chosen; names and meanings are those of the OpenAI and vLLM
 * interfaces.
 *
 * @param maxTokens most tokens to generate
 * @param minTokens end and stop tokens are impossible before that many
 * @param temperature 0 for greedy
 * @param topP smallest set of most likely tokens whose probabilities reach it; 1 for all
 * @param topK that many most likely tokens; 0 for all
 * @param minP tokens at least that likely relative to the most likely; 0 for all
 * @param seed of this request's random numbers
 * @param stop texts that end the completion; they are not part of it
 * @param stopTokenIds tokens that end the completion, besides the model's own
 * @param presencePenalty subtracted from the logit of each token generated before
 * @param frequencyPenalty subtracted for each time that it was generated
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens in the prompt
 *     or generated; 1 for none
 * @param logprobs most likely tokens reported at each step; -1 for no log-probabilities at all
 * @param ignoreEos the model's end token is a token like others
 */
public record SamplingParams(
    int maxTokens,
    int minTokens,
    double temperature,
    double topP,
    int topK,
    double minP,
    long seed,
    List<String> stop,
    List<Integer> stopTokenIds,
    double presencePenalty,
    double frequencyPenalty,
    double repetitionPenalty,
    int logprobs,
    boolean ignoreEos) {

  /** Most stop texts, and most characters of one. */
  public static final int STOPS_MAX = 16;

  /** Most alternatives that log-probabilities report. */
  public static final int LOGPROBS_MAX = 20;

  /** Greedy, 128 tokens. */
  public static final SamplingParams GREEDY =
      new SamplingParams(128, 0, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, false);

  /** Checks every range; the message names the parameter as users spell it. */
  public SamplingParams {
    stop = List.copyOf(stop);
    stopTokenIds = List.copyOf(stopTokenIds);
    check(maxTokens >= 1, "max_tokens", maxTokens, "at least 1");
    check(minTokens >= 0 && minTokens <= maxTokens, "min_tokens", minTokens, "0..max_tokens");
    check(temperature >= 0 && temperature <= 100, "temperature", temperature, "0..100");
    check(topP > 0 && topP <= 1, "top_p", topP, "above 0, at most 1");
    check(topK >= 0, "top_k", topK, "at least 0");
    check(minP >= 0 && minP <= 1, "min_p", minP, "0..1");
    check(stop.size() <= STOPS_MAX, "stop", stop.size(), "at most " + STOPS_MAX + " texts");
    for (String s : stop) check(!s.isEmpty(), "stop", "\"\"", "texts that are not empty");
    check(within(presencePenalty, 10), "presence_penalty", presencePenalty, "-10..10");
    check(within(frequencyPenalty, 10), "frequency_penalty", frequencyPenalty, "-10..10");
    check(
        repetitionPenalty > 0 && repetitionPenalty <= 100,
        "repetition_penalty",
        repetitionPenalty,
        "above 0, at most 100");
    check(logprobs >= -1 && logprobs <= LOGPROBS_MAX, "logprobs", logprobs, "-1.." + LOGPROBS_MAX);
  }

  private static boolean within(double value, double limit) {
    return value >= -limit && value <= limit;
  }

  private static void check(boolean condition, String name, Object actual, String expected) {
    if (!condition) {
      throw new IllegalArgumentException(name + ": expected " + expected + ", got " + actual);
    }
  }

  /** True if the next token is the one with the largest logit. */
  public boolean greedy() {
    return temperature == 0;
  }

  /** True if logits are used as the model gives them. */
  public boolean penalised() {
    return presencePenalty != 0 || frequencyPenalty != 0 || repetitionPenalty != 1;
  }

  /** The same with other lengths. */
  public SamplingParams withLengths(int newMinTokens, int newMaxTokens) {
    return new SamplingParams(
        newMaxTokens,
        newMinTokens,
        temperature,
        topP,
        topK,
        minP,
        seed,
        stop,
        stopTokenIds,
        presencePenalty,
        frequencyPenalty,
        repetitionPenalty,
        logprobs,
        ignoreEos);
  }

  /** The same with another seed. */
  public SamplingParams withSeed(long newSeed) {
    return new SamplingParams(
        maxTokens,
        minTokens,
        temperature,
        topP,
        topK,
        minP,
        newSeed,
        stop,
        stopTokenIds,
        presencePenalty,
        frequencyPenalty,
        repetitionPenalty,
        logprobs,
        ignoreEos);
  }
}
