package io.shadowbatch.tokens.template;

/** A Jinja filter. */
@FunctionalInterface
interface Filter {
  Object apply(Run run, Object value, Args args);
}
