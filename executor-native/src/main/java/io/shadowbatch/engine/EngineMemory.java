package io.shadowbatch.engine;

import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelHeader;
import io.shadowbatch.model.ModelSpec;
import java.io.IOException;

/**
 * The host's memory that an engine will take outside the Java heap, from the model's headers alone,
 * before anything is opened. Bytes; at least what a run measures, at most half as much again
 * (EngineMemoryTest). Memory of a GPU is not counted.
 *
 * @param weights the packed file, mapped; on the way to a GPU the staging buffer
 * @param keysAndValues what the tiers may hold, with what their slabs round up
 * @param work buffers between operations, the table of positions, scratch of the threads
 * @param text the tokenizer
 */
public record EngineMemory(long weights, long keysAndValues, long work, long text) {
  private static final long MIB = 1L << 20;

  /** Blocks that a tier's last slab may have too many ({@code BlockPool}). */
  private static final int SLAB_REST = 8;

  /** Scratch of a thread: most that attention over picked chunks takes. */
  private static final long SCRATCH_BYTES = 2 * MIB;

  /** A GPU's uploads go through pinned memory of this size at most, steps and weights each. */
  private static final long STAGING_BYTES = 64 * MIB;

  /**
   * The native tokenizer and its parse, for each entry of the vocabulary: 747 were measured with
   * 49,152 entries, 643 with 151,936.
   */
  private static final long VOCABULARY_ENTRY_BYTES = 768;

  /** For this configuration; reads headers. */
  public static EngineMemory of(EngineConfig config) throws IOException {
    ModelHeader header = Model.header(config.model());
    ModelSpec spec = header.spec();
    long text = VOCABULARY_ENTRY_BYTES * spec.vocabulary();
    boolean shadow = config.shadow() != null;
    long host = shadow && config.host().folder() == null ? config.host().bytes() : 0;
    if (config.backend().startsWith("cuda")) {
      long weights = Math.min(2 * spec.matrixNumbers(), STAGING_BYTES);
      return new EngineMemory(weights, host, STAGING_BYTES, text);
    }
    KvLayout layout = spec.kvLayout(config.codec(spec));
    long rest = SLAB_REST * layout.halfBytes() * (shadow ? 2 : 1);
    return new EngineMemory(
        Model.packedBytes(config.model()),
        config.kvBytes() + host + rest,
        work(config, spec),
        text);
  }

  private static long work(EngineConfig config, ModelSpec spec) {
    int rows = config.batchTokens() == 0 ? Calibration.MOST_ON_HOST : config.batchTokens();
    int asked = config.contextTokens() == 0 ? spec.contextLength() : config.contextTokens();
    int positions = Math.min(asked, spec.contextLength());
    return Decoder.byteSize(spec, rows)
        + RopeTable.byteSize(spec.rope().frequencies().length, positions)
        + config.threads() * SCRATCH_BYTES;
  }

  /** All of it. */
  public long total() {
    return weights + keysAndValues + work + text;
  }
}
