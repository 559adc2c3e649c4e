package io.shadowbatch.kv;

import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;

/** The latest queries of a prompt, before RoPE, of each layer. */
final class PromptQueries {
  /** Most rows of a batch. */
  static final int STEP = 256;

  private record Query(int position, float[] values) {}

  private final List<Deque<Query>> layers = new ArrayList<>();
  private final int most;

  PromptQueries(int layerCount, int most) {
    this.most = most;
    for (int i = 0; i < layerCount; i++) layers.add(new ArrayDeque<>());
  }

  /** Takes the rows of a slice, read by {@code copy}; the oldest leave. */
  void add(int layer, Tensor q, Slice slice, int[] positions, HostCopy copy) {
    Deque<Query> queries = layers.get(layer);
    int first = Math.max(slice.firstRow(), slice.endRow() - most);
    Tensor latest = copy.of(q.rows(first, slice.endRow()));
    for (int i = 0; i < latest.rows(); i++) {
      float[] values = new float[q.columns()];
      latest.readRow(i, values);
      queries.add(new Query(positions[first + i], values));
    }
    while (queries.size() > most) queries.remove();
  }

  int size(int layer) {
    return layers.get(layer).size();
  }

  /** Up to {@link #STEP} queries from number {@code from} on, in host memory. */
  TokenBatch batch(int layer, int from, int sequence, Tensor into) {
    int n = Math.min(STEP, size(layer) - from);
    int[] positions = new int[n];
    Iterator<Query> all = layers.get(layer).iterator();
    for (int i = 0; i < from; i++) all.next();
    for (int i = 0; i < n; i++) {
      Query query = all.next();
      positions[i] = query.position;
      into.writeRow(i, query.values);
    }
    return new TokenBatch(n, new int[n], positions, List.of(new Slice(sequence, 0, n)), new int[0]);
  }
}
