package io.shadowbatch.request;

/**
 * One completion to compute: a prompt as tokens and how to sample.
 *
 * @param id the caller's number, unique among the requests it has in the engine
 * @param tokens prompt token ids, at least one; not copied, must not change
 * @param kvMode how the prompt is read by what follows it; an engine without a shadow store, and a
 *     prompt that is too short for one, make it dense
 */
public record Request(long id, int[] tokens, SamplingParams params, KvMode kvMode) {
  /** Read exactly. */
  public Request(long id, int[] tokens, SamplingParams params) {
    this(id, tokens, params, KvMode.DENSE);
  }

  /** The same with other parameters. */
  public Request with(SamplingParams other) {
    return new Request(id, tokens, other, kvMode);
  }

  /** The same, read in another way. */
  public Request with(KvMode other) {
    return new Request(id, tokens, params, other);
  }
}
