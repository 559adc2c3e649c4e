package io.shadowbatch.tokens;

/** Says that a tokenizer could not be opened, or that a text could not be tokenised. */
public final class TokenizerException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  TokenizerException(String message) {
    super(message);
  }

  TokenizerException(String message, Throwable cause) {
    super(message, cause);
  }
}
