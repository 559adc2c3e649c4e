package io.shadowbatch.schedule;

/** Whether sequences take over what others computed; changes no result. */
public enum PrefixReuse {
  /** Every sequence computes all its tokens. */
  OFF,
  /** Common beginnings are computed once and kept, least recently used given up first. */
  LRU,
  /** The same, but what the waiting sequences will use is given up last, the latest use first. */
  PLANNED
}
