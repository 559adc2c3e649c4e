package io.shadowbatch.request;

import java.util.List;

/**
 * What the engine made of a request: a text with its reason to end, or an error.
 *
 * @param tokenIds generated tokens, the end or stop token included
 * @param text the tokens as text, special tokens and the stop text left out; null on error
 * @param finishReason null on error
 * @param stopReason the stop text or stop token id that ended it; null at the model's own end token
 *     and otherwise
 * @param cachedTokens prompt tokens whose keys and values were not computed for this request
 * @param kvMode how its prompt was read
 * @param logprobs one for each generated token, or null if not asked for
 * @param error null if all went well
 */
public record Completion(
    long id,
    int promptTokens,
    int[] tokenIds,
    String text,
    FinishReason finishReason,
    String stopReason,
    int cachedTokens,
    KvMode kvMode,
    Timing timing,
    List<TokenLogprob> logprobs,
    RequestError error) {

  /** Wall times in milliseconds: waiting, to the first token, from then to the end, all. */
  public record Timing(double queueMillis, double prefillMillis, double decodeMillis) {
    /** The sum of the parts. */
    public double totalMillis() {
      return queueMillis + prefillMillis + decodeMillis;
    }
  }

  /** The same with another error. */
  public Completion with(RequestError other) {
    return new Completion(
        id,
        promptTokens,
        tokenIds,
        text,
        finishReason,
        stopReason,
        cachedTokens,
        kvMode,
        timing,
        logprobs,
        other);
  }

  /** A request that got no completion. */
  public static Completion failed(Request request, RequestError error) {
    return new Completion(
        request.id(),
        request.tokens().length,
        new int[0],
        null,
        null,
        null,
        0,
        request.kvMode(),
        new Timing(0, 0, 0),
        null,
        error);
  }
}
