package io.shadowbatch.plan;

/**
 * A prompt as the planner sees it; the planner never looks at its text.
 *
 * @param signature as {@link PrefixSignature} makes it; prompts come in its unsigned byte order
 * @param bytes length of the whole prompt, the pinned root included
 * @param outputTokens expected length of the completion, 0 if unknown
 * @param payload the caller's own, handed back with the plan
 */
public record SortedPrompt<T>(byte[] signature, long bytes, long outputTokens, T payload) {}
