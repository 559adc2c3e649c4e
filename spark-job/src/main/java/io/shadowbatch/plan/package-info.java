/**
 * Which prompts belong together, found without a tokenizer and without Spark.
 *
 * <p>A prompt's {@link io.shadowbatch.plan.PrefixSignature} sorts prompts that begin alike next to
 * each other; {@link io.shadowbatch.plan.PrefixGroupPlanner} makes groups of the sorted stream, and
 * {@link io.shadowbatch.plan.CommonPrefix} finds what a whole job shares.
 */
package io.shadowbatch.plan;
