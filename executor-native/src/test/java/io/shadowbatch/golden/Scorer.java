package io.shadowbatch.golden;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.FullKvStore;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.DecoderWeights;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Runs single sequences through the decoder and gives out their logits. */
public final class Scorer {
  private final ModelSpec spec;
  private final Decoder decoder;
  private final FullKvStore store;
  private final HostCopy host;
  private final int chunk;

  public Scorer(
      Kernels kernels, ModelSpec spec, DecoderWeights weights, KvCodec codec, int tokens) {
    this(kernels, spec, weights, codec, tokens, 256);
  }

  /**
   * @param tokens most tokens of a sequence
   * @param chunk most tokens of a step
   */
  public Scorer(
      Kernels kernels,
      ModelSpec spec,
      DecoderWeights weights,
      KvCodec codec,
      int tokens,
      int chunk) {
    this.spec = spec;
    this.chunk = chunk;
    this.host = new HostCopy(kernels);
    KvLayout layout = spec.kvLayout(codec);
    List<AttentionShape> shapes = new ArrayList<>();
    for (int i = 0; i < spec.layers(); i++) shapes.add(spec.attention(i, layout));
    RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), tokens);
    store = new FullKvStore(kernels, shapes, rope, (tokens / 64 + 2) * layout.pageBytes());
    decoder = new Decoder(kernels, spec, weights, chunk);
  }

  /** Logits at {@code wanted} positions, ascending; computes ids[from, ids.length). */
  public float[][] logits(int[] ids, int from, int[] wanted) {
    if (from == 0) store.release(0);
    if (!store.reserve(0, ids.length)) throw new IllegalStateException("no room");
    float[][] result = new float[wanted.length][spec.vocabulary()];
    int done = 0;
    for (int at = from; at < ids.length; at += chunk) {
      int n = Math.min(chunk, ids.length - at);
      int start = at;
      int[] rows =
          Arrays.stream(wanted)
              .filter(p -> p >= start && p < start + n)
              .map(p -> p - start)
              .toArray();
      TokenBatch batch =
          new TokenBatch(
              n,
              Arrays.copyOfRange(ids, at, at + n),
              IntStream.range(at, at + n).toArray(),
              List.of(new Slice(0, 0, n)),
              rows);
      decoder.forward(batch, store);
      for (int r = 0; r < rows.length; r += decoder.logitRowsMax()) {
        int end = Math.min(rows.length, r + decoder.logitRowsMax());
        Tensor logits = host.of(decoder.logits(r, end));
        for (int i = 0; i < end - r; i++) logits.readRow(i, result[done++]);
      }
    }
    return result;
  }

  /** Index of the largest. */
  public static int best(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
    return best;
  }
}
