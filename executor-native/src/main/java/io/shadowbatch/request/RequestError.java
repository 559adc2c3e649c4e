package io.shadowbatch.request;

/**
 * Why a request has no completion.
 *
 * @param message for the user: what was found and what was expected; never the prompt's text
 */
public record RequestError(ErrorCode code, String message) {}
