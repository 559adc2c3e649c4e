/**
 * Which prompts belong together, found without a tokenizer and without Spark.
 *
 * <p>A prompt's {@link io.shadowbatch.plan.PrefixSignature} sorts prompts that begin alike next to
 * each other.
 */
package io.shadowbatch.plan;
