package io.shadowbatch.spark;

/** When a job looks for the prefix that all its prompts share, which reads the whole input. */
enum RootSearch {
  /** Nothing will be ordered. */
  NEVER,
  /**
   * If rows will be spread over partitions, which the prefix would blind, or must be counted by a
   * pass anyway. Within a single partition the engine reuses it without being told.
   */
  IF_SPREAD,
  ALWAYS
}
