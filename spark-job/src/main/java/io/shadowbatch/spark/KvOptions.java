package io.shadowbatch.spark;

import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.spark.JobException.Exit;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.Locale;

/**
 * How an executor keeps keys and values, and how prompts are read.
 *
 * @param codec how they are stored; null for what suits the model
 * @param deviceBytes memory that kernels read at full speed
 * @param hostBytes memory behind that; 0 for none, and where all is read exactly
 * @param hostFolder executors' folder where that lies in files; null for plain memory
 * @param chunkTokens tokens that are picked together; 0 for what suits the model
 * @param shadow how prompts are read in part; null where all are read exactly
 */
public record KvOptions(
    Mode mode,
    KvCodec codec,
    long deviceBytes,
    long hostBytes,
    String hostFolder,
    int chunkTokens,
    ShadowSpec shadow)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Sizes beyond these only take memory: they read more than contexts hold. */
  private static final int BUDGET_MOST = 1 << 16;

  private static final int BUDGET_LEAST = 16; // the longest chunk

  private static final int OUTLIERS_MOST = 1 << 12;
  private static final int RANK_MOST = 1 << 12;

  /** Whether prompts may be read in part. */
  public enum Mode {
    /** Those for which it is predicted to pay. */
    AUTO,
    /** None. */
    DENSE,
    /** All that are long enough. */
    SHADOW;

    /** As users write it. */
    public String shown() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  static KvOptions of(Settings s) {
    Mode mode = Mode.valueOf(upper(s, JobOptions.KV_MODE));
    String codec = upper(s, JobOptions.KV_CODEC);
    long device = s.bytes(JobOptions.DEVICE_MEMORY);
    ShadowSpec shadow = shadow(s);
    // Exact keys and their means take a little more of the device than their values do behind it;
    // low-rank ones about a quarter of what keys and values do, which both move.
    long suits = shadow.lowRank() ? 4 * device : device;
    long host = s.bytes(JobOptions.HOST_MEMORY, suits);
    KvOptions all =
        new KvOptions(
            mode,
            codec.equals("AUTO") ? null : KvCodec.valueOf(codec),
            device,
            host,
            s.text(JobOptions.HOST_FOLDER),
            s.text(JobOptions.SHADOW_CHUNK).equals("auto") ? 0 : s.count(JobOptions.SHADOW_CHUNK),
            shadow);
    return mode == Mode.DENSE ? all.dense() : all;
  }

  private static ShadowSpec shadow(Settings s) {
    ShadowSpec standard = ShadowSpec.STANDARD;
    int budget = between(s, JobOptions.SHADOW_BUDGET, BUDGET_LEAST, BUDGET_MOST);
    int outliers = between(s, JobOptions.SHADOW_OUTLIERS, 0, OUTLIERS_MOST);
    ShadowSpec exact =
        standard
            .with(budget, outliers)
            .from(s.count(JobOptions.SHADOW_LEAST))
            .attending(ShadowSpec.Attend.valueOf(upper(s, JobOptions.SHADOW_ATTEND)));
    String keys = upper(s, JobOptions.SHADOW_KEYS);
    int rank = between(s, JobOptions.SHADOW_RANK, 16, RANK_MOST);
    if (rank % 16 != 0) {
      throw s.wrong(JobOptions.SHADOW_RANK, "a multiple of 16", s.text(JobOptions.SHADOW_RANK));
    }
    return keys.equals("EXACT") ? exact : exact.holding(KeyStore.valueOf(keys), rank);
  }

  private static int between(Settings s, JobOption option, int least, int most) {
    int value = s.count(option);
    if (value >= least && value <= most) return value;
    throw s.wrong(option, "%d..%d".formatted(least, most), s.text(option));
  }

  private static String upper(Settings s, JobOption option) {
    return s.text(option).toUpperCase(Locale.ROOT);
  }

  /** The same with all prompts read exactly. */
  KvOptions dense() {
    return new KvOptions(Mode.DENSE, codec, deviceBytes, 0, null, 0, null);
  }

  /**
   * For an engine that runs beside another of its executor for a while: half of the device's
   * memory, but room for two of the longest prompts, so that it refuses nothing that the other
   * takes.
   */
  KvOptions beside(ModelCard model) {
    long least = 2L * model.contextTokens() * model.kvBytesPerToken();
    long share = Math.min(deviceBytes, Math.max(deviceBytes / 2, least));
    return new KvOptions(mode, codec, share, hostBytes, hostFolder, chunkTokens, shadow);
  }

  /** What is possible with a model; refuses what was asked for and is not. */
  KvOptions settled(ModelCard model) {
    if (mode != Mode.DENSE && shadow.rank() > model.keyWidth()) {
      throw new JobException(
          Exit.USAGE,
          "--shadow-rank %d: the keys of --model %s have %d dimensions, expected at most as many"
              .formatted(shadow.rank(), model.location(), model.keyWidth()));
    }
    if (mode == Mode.DENSE) return this;
    if (model.window() == 0) {
      ShadowSpec suited = shadow.chunks(model.chunkTokens());
      return new KvOptions(
          mode, codec, deviceBytes, hostBytes, hostFolder, suited.chunkTokens(), suited);
    }
    if (mode == Mode.AUTO) return dense();
    throw new JobException(
        Exit.USAGE,
        ("--kv-mode shadow: layers of --model %s see a window of %d tokens, expected layers that"
                + " see all; use --kv-mode dense")
            .formatted(model.location(), model.window()));
  }

  /** Memory of the machine that both take. */
  long bytes() {
    return deviceBytes + (hostFolder == null ? hostBytes : 0);
  }

  /** Memory behind the device's, on an executor. */
  HostMemory host() {
    return new HostMemory(hostBytes, hostFolder == null ? null : Path.of(hostFolder));
  }
}
