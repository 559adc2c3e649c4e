package io.shadowbatch.engine;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.schedule.PrefixReuse;
import java.nio.file.Path;

/**
 * What an engine is opened with.
 *
 * @param model local path of a GGUF file or of a folder with safetensors
 * @param backend cpu, reference, cuda (device 0) or cuda:N
 * @param threads cores that the engine uses
 * @param kvBytes memory for keys and values
 * @param batchTokens most tokens that a step computes; 0 to measure what suits the machine
 * @param contextTokens most tokens of prompt and completion together; 0 for the model's own limit
 * @param kvCodec how keys and values are stored; null for what suits the model: {@link #codec}
 * @param packFolder where packed weights are kept, shared by the engines of a host; null for the
 *     default
 * @param prefixReuse whether prompts take over the beginnings that others computed
 * @param prefixAttention how steps read pages that several sequences hold
 * @param sequencesMax most sequences that run at once; 0 for as many as memory and a step hold
 * @param shadow how requests of {@link io.shadowbatch.request.KvMode#SHADOW} are read; null where
 *     all are read exactly
 * @param host memory behind that for keys and values, used by {@code shadow} only
 */
public record EngineConfig(
    Path model,
    String backend,
    int threads,
    long kvBytes,
    int batchTokens,
    int contextTokens,
    KvCodec kvCodec,
    Path packFolder,
    PrefixReuse prefixReuse,
    PrefixAttention prefixAttention,
    int sequencesMax,
    ShadowSpec shadow,
    HostMemory host) {

  public EngineConfig {
    if (threads < 1
        || threads > 1024
        || kvBytes < 1
        || (batchTokens != 0 && batchTokens < 16)
        || contextTokens < 0
        || sequencesMax < 0) {
      throw new IllegalArgumentException(
          ("engine: threads %d (1..1024), kvBytes %d, batchTokens %d (0, or 16 or more),"
                  + " contextTokens %d, sequencesMax %d (0 or more)")
              .formatted(threads, kvBytes, batchTokens, contextTokens, sequencesMax));
    }
  }

  /** Prefixes reused and read together. */
  public EngineConfig(
      Path model,
      String backend,
      int threads,
      long kvBytes,
      int batchTokens,
      int contextTokens,
      KvCodec kvCodec,
      Path packFolder) {
    this(
        model,
        backend,
        threads,
        kvBytes,
        batchTokens,
        contextTokens,
        kvCodec,
        packFolder,
        PrefixReuse.PLANNED,
        PrefixAttention.SHARED,
        0,
        null,
        HostMemory.of(0));
  }

  /** The same with other switches, for comparisons: answers do not depend on them. */
  public EngineConfig with(PrefixReuse reuse, PrefixAttention attention) {
    return with(reuse, attention, sequencesMax);
  }

  /** The same with a cap on running sequences, as engines have that do not count memory only. */
  public EngineConfig with(PrefixReuse reuse, PrefixAttention attention, int most) {
    return new EngineConfig(
        model,
        backend,
        threads,
        kvBytes,
        batchTokens,
        contextTokens,
        kvCodec,
        packFolder,
        reuse,
        attention,
        most,
        shadow,
        host);
  }

  /** The same with other memory for keys and values. */
  public EngineConfig withKvBytes(long bytes) {
    return new EngineConfig(
        model,
        backend,
        threads,
        bytes,
        batchTokens,
        contextTokens,
        kvCodec,
        packFolder,
        prefixReuse,
        prefixAttention,
        sequencesMax,
        shadow,
        host);
  }

  /** The same for requests that may be read in part. */
  public EngineConfig with(ShadowSpec spec, HostMemory memory) {
    return new EngineConfig(
        model,
        backend,
        threads,
        kvBytes,
        batchTokens,
        contextTokens,
        kvCodec,
        packFolder,
        prefixReuse,
        prefixAttention,
        sequencesMax,
        spec,
        memory);
  }

  /** The CPU backend with the defaults of the job. */
  public static EngineConfig cpu(Path model, int threads) {
    return new EngineConfig(model, "cpu", threads, 1L << 30, 0, 0, null, null);
  }

  /**
   * Tokens to pick together for a model: the number asked for, else what suits it. Where keys have
   * biases (Qwen2) eight keys differ too much for one mean: measured, four come twice as close to
   * reading everything for as many tokens.
   *
   * @param asked or 0
   */
  public static int chunkTokens(int asked, ModelSpec spec) {
    if (asked != 0) return asked;
    return spec.qkvBias() ? 4 : ShadowSpec.STANDARD.chunkTokens();
  }

  /** The codec of this engine for a model. */
  public KvCodec codec(ModelSpec spec) {
    return codec(kvCodec, backend, spec);
  }

  /**
   * The codec to use for a model: the one asked for, else what suits it. Models whose keys have
   * biases (Qwen2) carry a few dimensions far larger than the others, which 8 bits do not hold:
   * measured, their logits move five times as far as with half floats. All others take 8 bits, but
   * on the GPU, whose kernels read half floats only.
   *
   * @param asked or null
   * @throws IllegalArgumentException if the backend does not store what was asked for
   */
  public static KvCodec codec(KvCodec asked, String backend, ModelSpec spec) {
    if (backend.startsWith("cuda")) {
      if (asked == null || asked == KvCodec.FP16) return KvCodec.FP16;
      throw new IllegalArgumentException(
          "kvCodec %s: backend %s stores FP16 only".formatted(asked, backend));
    }
    if (asked != null) return asked;
    return spec.qkvBias() ? KvCodec.FP16 : KvCodec.INT8;
  }
}
