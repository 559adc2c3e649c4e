package io.shadowbatch.kernels;

/** How the rows of a step read a page that several sequences hold; changes no result. */
public enum PrefixAttention {
  /** Rows of different sequences that read the same page go through it together. */
  SHARED,
  /** Each sequence walks its pages by itself: what a kernel without shared prefixes does. */
  SEPARATE
}
