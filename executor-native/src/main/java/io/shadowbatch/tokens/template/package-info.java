/**
 * Renders the chat templates that models carry: a sandboxed subset of Jinja with Python's
 * semantics.
 *
 * <p>{@link io.shadowbatch.tokens.template.ChatTemplate} is the entry. The lexer and parsers build
 * small nodes that evaluate themselves against a {@code Run}, which counts every step and bounds
 * every size. Values are a closed set of types without reflection; a construct that is not
 * supported is refused by name, never guessed.
 */
package io.shadowbatch.tokens.template;
