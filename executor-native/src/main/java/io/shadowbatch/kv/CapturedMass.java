package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * How much of exact attention's weight falls on what rows read: the error of a row's attention is
 * at most 2 (1 - captured) times the longest value. One layer of some steps is computed densely for
 * that, each time another one.
 */
final class CapturedMass {
  private static final int STRIDE = 7; // between layers, so that few samples see all depths

  private final Kernels kernels;
  private final RopeTable rope;
  private final SequencePages sequences;
  private final int chunkTokens;
  private int oneOf = 100;
  private long steps;
  private double captured;
  private long rows;

  CapturedMass(Kernels kernels, RopeTable rope, SequencePages sequences, int chunkTokens) {
    this.kernels = kernels;
    this.rope = rope;
    this.sequences = sequences;
    this.chunkTokens = chunkTokens;
  }

  /** Measures one of so many steps. */
  void every(int count) {
    oneOf = count;
  }

  /** Sum of the captured shares of {@link #rows}. */
  double captured() {
    return captured;
  }

  /** Rows and query heads that were measured. */
  long rows() {
    return rows;
  }

  /** Rows have picked for a layer. */
  void sample(AttentionShape shape, int layer, Tensor q, TokenBatch batch, PromptPicks picks) {
    int layers = shape.layout().layers();
    boolean now = steps % oneOf == 0 && layer == STRIDE * (steps / oneOf) % layers;
    if (layer == layers - 1) steps++;
    if (now) measure(shape, layer, q, batch, picks);
  }

  private void measure(
      AttentionShape shape, int layer, Tensor q, TokenBatch batch, PromptPicks picks) {
    int heads = shape.layout().kvHeads();
    int longest = 0;
    List<List<KvSegment>> segments = new ArrayList<>();
    for (Slice slice : batch.slices()) {
      int length = batch.positions()[slice.endRow() - 1] + 1;
      longest = Math.max(longest, length);
      segments.add(List.of(sequences.dense(slice.sequence(), 0, length)));
    }
    KvView view = new KvView(shape.layout(), segments);
    int n = batch.size();
    try (Storage out = kernels.allocate(4L * n * q.columns());
        Storage states = kernels.allocate(8L * n * shape.queryHeads());
        Storage masses = kernels.allocate(4L * segments.size() * heads * longest);
        HostCopy copy = new HostCopy(kernels)) {
      Tensor state = Tensor.of(states, DType.F32, n, 2 * shape.queryHeads());
      Tensor mass = Tensor.of(masses, DType.F32, segments.size() * heads, longest);
      Tensor unused = Tensor.of(out, DType.F32, n, q.columns());
      kernels.attend(shape, layer, q, batch, view, rope, unused, state);
      kernels.attentionMass(shape, layer, q, batch, view, rope, state, mass);
      Tensor weights = copy.of(mass);
      for (int s = 0; s < segments.size(); s++) {
        SparsePrompt prompt = picks.prompt(s);
        Slice slice = batch.slices().get(s);
        // Of several rows the weights are summed: only one can be told apart.
        if (prompt == null || slice.rows() > 1) continue;
        int length = batch.positions()[slice.firstRow()] + 1;
        for (int head = 0; head < heads; head++) {
          int[] chosen = picks.of(slice.firstRow(), head);
          captured += captured(weights, s * heads + head, chosen, prompt.sparseTokens(), length);
          rows += shape.headsPerGroup();
        }
      }
    }
  }

  private double captured(Tensor mass, int row, int[] chunks, int sparse, int length) {
    double sum = 0;
    for (int chunk : chunks) {
      for (int t = 0; t < chunkTokens; t++) sum += mass.f32(row, chunk * chunkTokens + t);
    }
    for (int t = sparse; t < length; t++) sum += mass.f32(row, t);
    return sum;
  }
}
