/**
 * The job on Spark: the only package that knows Spark's types.
 *
 * <p>{@link io.shadowbatch.spark.ShadowBatchJob} shows the stages. What is wrong with the job as a
 * whole ends in a {@link io.shadowbatch.spark.JobException} with an exit code; what is wrong with a
 * row becomes an error row.
 */
package io.shadowbatch.spark;
