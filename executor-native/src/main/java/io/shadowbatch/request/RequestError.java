package io.shadowbatch.request;

/**
 * Why a request has no completion.
 *
 * @param message for the user: what was found and what was expected; never the prompt's text
 * @param attempts times that it was computed before that was said; at least 1
 */
public record RequestError(ErrorCode code, String message, int attempts) {
  /** Of the first attempt. */
  public RequestError(ErrorCode code, String message) {
    this(code, message, 1);
  }

  /** The same after more attempts. */
  public RequestError after(int times) {
    return new RequestError(code, message, times);
  }
}
