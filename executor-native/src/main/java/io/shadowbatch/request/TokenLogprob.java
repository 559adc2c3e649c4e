package io.shadowbatch.request;

import java.util.List;

/**
 * Natural logarithm of a generated token's probability under the model's own logits, before
 * penalties, temperature and cuts.
 *
 * @param top the most likely tokens at that step, best first; empty if none were asked for
 */
public record TokenLogprob(int tokenId, double logprob, List<Alternative> top) {

  /** One of the most likely tokens. */
  public record Alternative(int tokenId, double logprob) {}
}
