package io.shadowbatch.tokens.template;

/** A node that has a value. */
@FunctionalInterface
interface Expr {
  Object eval(Run run);
}
