package io.shadowbatch.model;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.FullKvStore;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** A decoder with a store, driven by hand: any batch, all logits. */
final class Rig {
  /** Tokens [from, to) of a sequence, to be computed in one step. */
  record Part(int sequence, int[] ids, int from, int to) {}

  final FullKvStore store;
  private final Decoder decoder;
  private final int vocabulary;
  private final HostCopy host;

  Rig(Kernels kernels, Model model, KvCodec codec) {
    ModelSpec spec = model.spec();
    KvLayout layout = spec.kvLayout(codec);
    List<AttentionShape> shapes = new ArrayList<>();
    for (int i = 0; i < spec.layers(); i++) shapes.add(spec.attention(i, layout));
    RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), 512);
    store = new FullKvStore(kernels, shapes, rope, 64 * layout.pageBytes());
    decoder = new Decoder(kernels, spec, model.weights(), 300);
    vocabulary = spec.vocabulary();
    host = new HostCopy(kernels);
  }

  /** Computes the parts as one step; the logits of every row. */
  List<float[]> step(List<Part> parts) {
    List<Slice> slices = new ArrayList<>();
    List<Integer> tokens = new ArrayList<>();
    List<Integer> positions = new ArrayList<>();
    for (Part p : parts) {
      if (!store.reserve(p.sequence, p.to)) throw new IllegalStateException("no room");
      slices.add(new Slice(p.sequence, tokens.size(), p.to - p.from));
      for (int i = p.from; i < p.to; i++) {
        tokens.add(p.ids[i]);
        positions.add(i);
      }
    }
    int n = tokens.size();
    int[] all = IntStream.range(0, n).toArray();
    decoder.forward(new TokenBatch(n, ints(tokens), ints(positions), slices, all), store);
    List<float[]> rows = new ArrayList<>();
    for (int from = 0; from < n; from += decoder.logitRowsMax()) {
      int to = Math.min(n, from + decoder.logitRowsMax());
      Tensor logits = host.of(decoder.logits(from, to));
      for (int i = 0; i < to - from; i++) {
        float[] row = new float[vocabulary];
        logits.readRow(i, row);
        rows.add(row);
      }
    }
    return rows;
  }

  /** Logits of all rows of one sequence computed in steps that end at {@code cuts}. */
  List<float[]> alone(int sequence, int[] ids, int... cuts) {
    List<float[]> rows = new ArrayList<>();
    int from = 0;
    for (int to : Arrays.copyOf(cuts, cuts.length + 1)) {
      int end = to == 0 ? ids.length : to;
      rows.addAll(step(List.of(new Part(sequence, ids, from, end))));
      from = end;
    }
    return rows;
  }

  private static int[] ints(List<Integer> list) {
    return list.stream().mapToInt(Integer::intValue).toArray();
  }
}
