package io.shadowbatch.spark;

import io.shadowbatch.request.ErrorCode;

/** Makes a row an error row. The message never holds the prompt's text. */
final class RowException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final ErrorCode code;
  private final String stage;

  RowException(ErrorCode code, String stage, String message) {
    super(message, null, false, false);
    this.code = code;
    this.stage = stage;
  }

  ErrorCode code() {
    return code;
  }

  /** input, template, tokenize or engine. */
  String stage() {
    return stage;
  }
}
