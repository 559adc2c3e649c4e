package io.shadowbatch.request;

/**
 * One completion to compute: a prompt as tokens and how to sample.
 *
 * @param id the caller's number, unique among the requests it has in the engine
 * @param tokens prompt token ids, at least one; not copied, must not change
 */
public record Request(long id, int[] tokens, SamplingParams params) {}
