package io.shadowbatch.tokens.template;

/** Python's {@code None}. */
enum None {
  NONE
}
