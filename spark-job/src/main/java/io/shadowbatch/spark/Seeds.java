package io.shadowbatch.spark;

import io.shadowbatch.plan.PrefixSignature;
import io.shadowbatch.spark.JobConfig.RowDefaults;
import java.util.Map;

/** Seeds that depend on what is asked, never on where or when it is computed. */
final class Seeds {

  private Seeds() {}

  /** The row's own seed, or the job's mixed with the request key. */
  static long ofRow(Map<String, Object> params, RowDefaults defaults, String key) {
    if (params.get(RowParams.SEED) instanceof Number own) return own.longValue();
    long mixed = PrefixSignature.mix(defaults.seed() + 0x9e37_79b9_7f4a_7c15L);
    for (int at = 0; at < key.length(); at += 16) {
      mixed = PrefixSignature.mix(mixed ^ Long.parseUnsignedLong(key, at, at + 16, 16));
    }
    return mixed;
  }

  /** The first sample has the row's seed. */
  static long ofSample(long seed, int sample) {
    return sample == 0 ? seed : PrefixSignature.mix(seed + 0x9e37_79b9_7f4a_7c15L * sample);
  }
}
