package io.shadowbatch.request;

/** The closed list of reasons why a row has no completion. */
public enum ErrorCode {
  BAD_INPUT(false),
  EMPTY_PROMPT(false),
  PROMPT_TOO_LONG(false),
  UNSUPPORTED_PARAM(false),
  TEMPLATE_ERROR(false),
  TOKENIZE_ERROR(false),
  SCHEMA_INVALID(false),
  OUT_OF_MEMORY(true),
  ENGINE_ERROR(true),
  ENGINE_CRASH(true),
  TIMEOUT(true),
  CANCELLED(true),
  BUDGET_EXHAUSTED(true);

  private final boolean retryable;

  ErrorCode(boolean retryable) {
    this.retryable = retryable;
  }

  /** True if the same row may succeed on another try. */
  public boolean retryable() {
    return retryable;
  }
}
