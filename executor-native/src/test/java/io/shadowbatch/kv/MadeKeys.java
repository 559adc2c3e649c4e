package io.shadowbatch.kv;

import java.util.Random;

/**
 * Made-up keys, values and queries of heads: keys follow a slow latent of a few dimensions, queries
 * look along it, and a spike is a key that a query finds though its neighbours point elsewhere.
 */
final class MadeKeys {
  private static final int LATENT = 8;

  /** Forgets in about a hundred tokens. */
  private static final float SLOW = 0.99f;

  private final Random random;
  private final int width;
  private final float[][] map;
  private final float[] latent = new float[LATENT];

  /**
   * @param width of a key, all KV heads together
   */
  MadeKeys(long seed, int width) {
    this.random = new Random(seed);
    this.width = width;
    this.map = new float[LATENT][];
    for (int i = 0; i < LATENT; i++) map[i] = noise(width, 1);
  }

  /** The keys of the next tokens. */
  float[][] keys(int tokens) {
    float[][] rows = new float[tokens][];
    float step = (float) Math.sqrt(1 - SLOW * SLOW);
    for (int t = 0; t < tokens; t++) {
      float[] row = noise(width, 0.3f);
      for (int i = 0; i < LATENT; i++) {
        latent[i] = SLOW * latent[i] + step * (float) random.nextGaussian();
        for (int j = 0; j < width; j++) row[j] += 0.6f * latent[i] * map[i][j];
      }
      rows[t] = row;
    }
    return rows;
  }

  float[][] values(int tokens) {
    float[][] rows = new float[tokens][];
    for (int t = 0; t < tokens; t++) rows[t] = noise(width, 1);
    return rows;
  }

  /** A query of all heads, {@code group} for each KV head, that looks along the latent. */
  float[] query(int headDim, int group, float strength) {
    float[] at = new float[LATENT];
    for (int i = 0; i < LATENT; i++) at[i] = (float) random.nextGaussian();
    float[] query = noise(width * group, 0.5f * strength);
    for (int j = 0; j < query.length; j++) {
      int kvHead = j / headDim / group;
      for (int i = 0; i < LATENT; i++) {
        query[j] += strength * at[i] * map[i][kvHead * headDim + j % headDim] / 3;
      }
    }
    return query;
  }

  float[] noise(int n, float scale) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = scale * (float) random.nextGaussian();
    return x;
  }
}
