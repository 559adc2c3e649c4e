package io.shadowbatch.request;

/** How the keys and values of a request's prompt are read once the prompt is computed. */
public enum KvMode {
  /** All of them, exactly. */
  DENSE,
  /** The few chunks that matter to a step, chosen anew for each (ShadowKV, arXiv 2410.21465). */
  SHADOW
}
