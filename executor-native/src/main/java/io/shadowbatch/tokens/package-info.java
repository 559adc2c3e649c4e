/**
 * Text to token ids and back, and chat messages to text.
 *
 * <p>The engine sees {@link io.shadowbatch.tokens.Tokenizer} and {@link
 * io.shadowbatch.tokens.template.ChatTemplate} only. A tokenizer comes from a {@code
 * tokenizer.json} or from the vocabulary inside a GGUF file; a chat template is the Jinja text that
 * a model carries, rendered by an own sandboxed evaluator that refuses what it does not know.
 * Nothing here uses the network.
 */
package io.shadowbatch.tokens;
