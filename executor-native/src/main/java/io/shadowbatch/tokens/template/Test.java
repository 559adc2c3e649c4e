package io.shadowbatch.tokens.template;

/** A Jinja test, the part after {@code is}. */
@FunctionalInterface
interface Test {
  boolean apply(Run run, Object value, Args args);
}
