/**
 * What survives a job that is killed: chunks of completions, each committed by one rename, the log
 * that they form for each partition, and the lock that keeps two runs from one output.
 */
package io.shadowbatch.ledger;
