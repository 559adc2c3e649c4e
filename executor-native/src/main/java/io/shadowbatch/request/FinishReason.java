package io.shadowbatch.request;

/** Why a completion ended. */
public enum FinishReason {
  /** The model's end token, a stop token or a stop text. */
  STOP,
  /** The most tokens asked for, or the model's context. */
  LENGTH
}
