/** The commands of the job: options in, exit codes out. */
package io.shadowbatch.cli;
