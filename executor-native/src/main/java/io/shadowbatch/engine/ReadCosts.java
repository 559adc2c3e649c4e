package io.shadowbatch.engine;

import io.shadowbatch.kv.ShadowSpec;
import java.io.Serializable;

/**
 * What attention costs a row that decodes, in seconds for all layers. Tokens that many rows of a
 * step read are read for less than those of one row.
 *
 * @param token of a prompt, read by one row
 * @param sharedToken of a prompt, read by many rows of a step, for each of them
 * @param landmark of a chunk, scored by one row
 * @param sharedLandmark of a chunk, scored by many rows of a step, for each of them
 * @param picked of a token that a row picks, alone in its step
 * @param sharedPicked the same among many rows, whose waits for memory overlap
 */
public record ReadCosts(
    double token,
    double sharedToken,
    double landmark,
    double sharedLandmark,
    double picked,
    double sharedPicked)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Seconds of a row that reads {@code tokens} which {@code rows} rows of the step read. */
  public double dense(double tokens, double rows) {
    return tokens * (sharedToken + (token - sharedToken) / rows);
  }

  /**
   * Seconds of a row behind a prompt of which it reads a part: the means of {@code tokens} tokens'
   * chunks, which {@code rows} rows of the step score, and what it picks.
   */
  public double sparse(ShadowSpec spec, double tokens, double rows) {
    double chunks = tokens / spec.chunkTokens();
    double scored = chunks * (sharedLandmark + (landmark - sharedLandmark) / rows);
    double read = Math.min(chunks, spec.budgetChunks() + spec.exactChunks());
    double each = sharedPicked + (picked - sharedPicked) / rows;
    return scored + read * spec.chunkTokens() * each;
  }
}
