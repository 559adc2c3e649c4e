package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Sequences with prompts in memory, rows behind them, and what is needed to read the prompts by
 * chunks. The same seed gives the same numbers on every backend.
 */
final class ChunkRig {
  static final int LAYERS = 2;
  static final int LAYER = 1;

  /**
   * @param group query heads of a KV head
   * @param spread of the keys
   */
  record Setup(KvCodec codec, int d, int kvHeads, int group, int chunk, float spread) {
    AttentionShape shape() {
      KvLayout layout = new KvLayout(codec, LAYERS, kvHeads, d);
      return new AttentionShape(layout, kvHeads * group, (float) (1 / Math.sqrt(d)), 0);
    }
  }

  /**
   * @param prompt tokens that are read by chunks, a multiple of 64; 0: all is dense
   * @param tail tokens behind them, the rows included
   * @param rows of the step
   */
  record Sequence(int prompt, int tail, int rows) {
    int tokens() {
      return prompt + tail;
    }
  }

  final Arena a;
  final Setup s;
  final List<Sequence> sequences;
  final LandmarkLayout landmarkLayout;
  final List<HalfPages> pages = new ArrayList<>();
  final List<Tensor[]> landmarks = new ArrayList<>();
  final TokenBatch batch;
  final RopeTable rope;
  final Tensor q;
  private final Random random;

  /** Fills the pages; sequences share their first {@code shared} pages. */
  ChunkRig(Arena a, Setup s, List<Sequence> sequences, int shared, long seed) {
    this.a = a;
    this.s = s;
    this.sequences = sequences;
    this.random = new Random(seed);
    KvLayout layout = s.shape().layout();
    landmarkLayout = new LandmarkLayout(layout, s.chunk);
    int longest = sequences.stream().mapToInt(Sequence::tokens).max().orElseThrow();
    double[] frequencies = new double[s.d / 32 * 16];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = Math.pow(10000, -1.0 * i / frequencies.length);
    }
    rope = RopeTable.of(a.kernels, frequencies, longest);
    for (Sequence sequence : sequences) fill(sequence, shared);
    batch = rows(sequences);
    q = floats(batch.size(), s.kvHeads * s.group * s.d, 1);
  }

  private void fill(Sequence sequence, int shared) {
    int count = (sequence.tokens() + 63) / 64;
    HalfPages own = new HalfPages(a, s.shape().layout(), count);
    int from = pages.isEmpty() ? 0 : 64 * Math.min(shared, sequence.tokens() / 64);
    if (from > 0) own.shareFirst(pages.get(0), from / 64);
    int n = sequence.tokens() - from;
    Tensor k = floats(n, s.kvHeads * s.d, s.spread);
    Tensor v = floats(n, s.kvHeads * s.d, 1);
    int[] positions = IntStream.range(from, from + n).toArray();
    TokenBatch tokens =
        new TokenBatch(n, new int[n], positions, List.of(new Slice(0, 0, n)), new int[0]);
    KvSegment all = own.dense(0, sequence.tokens());
    KvView view = new KvView(s.shape().layout(), List.of(List.of(all)));
    for (int layer = 0; n > 0 && layer < LAYERS; layer++) {
      a.kernels.append(s.shape(), layer, k, v, tokens, view, rope);
    }
    pages.add(own);
    int whole = sequence.prompt / 64;
    Tensor[] summaries = new Tensor[whole];
    for (int i = 0; i < whole; i++) {
      int bytes = (int) landmarkLayout.pageBytes();
      summaries[i] = Tensor.of(a.storage(bytes), DType.U8, 1, bytes);
    }
    a.kernels.summarise(s.shape().layout(), s.chunk, Arrays.copyOf(own.keys, whole), summaries);
    if (!landmarks.isEmpty()) {
      Tensor[] first = landmarks.get(0);
      for (int i = 0; i < Math.min(shared, Math.min(whole, first.length)); i++) {
        summaries[i] = first[i];
      }
    }
    landmarks.add(summaries);
  }

  private static TokenBatch rows(List<Sequence> sequences) {
    List<Slice> slices = new ArrayList<>();
    IntStream positions = IntStream.empty();
    int row = 0;
    for (int i = 0; i < sequences.size(); i++) {
      Sequence q = sequences.get(i);
      slices.add(new Slice(i, row, q.rows));
      row += q.rows;
      IntStream own = IntStream.range(q.tokens() - q.rows, q.tokens());
      positions = IntStream.concat(positions, own);
    }
    return new TokenBatch(row, new int[row], positions.toArray(), slices, new int[0]);
  }

  Tensor floats(int rows, int columns, float spread) {
    float[] x = new float[rows * columns];
    for (int i = 0; i < x.length; i++) x[i] = spread * (float) random.nextGaussian();
    return a.tensor(rows, columns, x);
  }

  Tensor ints(int rows, int columns) {
    return Tensor.of(a.storage(4L * rows * columns), DType.I32, rows, columns);
  }

  int chunks(int sequence) {
    return sequences.get(sequence).prompt / s.chunk;
  }

  /** Exact chunks 0 and two drawn ones for each layer and head. */
  Tensor exact(int sequence) {
    Tensor exact = ints(LAYERS * s.kvHeads, 6);
    for (int row = 0; row < exact.rows(); row++) {
      int[] ids =
          IntStream.concat(IntStream.of(0), random.ints(2, 0, chunks(sequence)))
              .sorted()
              .distinct()
              .toArray();
      exact.setI32(row, 0, ids.length);
      for (int i = 0; i < ids.length; i++) exact.setI32(row, 1 + i, ids[i]);
    }
    return exact;
  }

  /** Picks of all rows; dense sequences have none. */
  ChunkPicks select(int budget) {
    List<ChunkView.Chunks> slices = new ArrayList<>();
    int most = 1;
    for (int i = 0; i < sequences.size(); i++) {
      boolean dense = sequences.get(i).prompt == 0;
      slices.add(dense ? null : new ChunkView.Chunks(landmarks.get(i), exact(i), budget));
      most = Math.max(most, Math.min(chunks(i), budget + 3));
    }
    ChunkPicks picks = new ChunkPicks(ints(batch.size() * s.kvHeads, 1 + most), s.chunk);
    ChunkView view = new ChunkView(landmarkLayout, slices);
    a.kernels.selectChunks(s.shape(), LAYER, q, batch, view, rope, picks);
    return picks;
  }

  /** Reads by picks, or everything if they are null. */
  KvView view(ChunkPicks picks) {
    List<List<KvSegment>> all = new ArrayList<>();
    for (int i = 0; i < sequences.size(); i++) {
      Sequence q = sequences.get(i);
      HalfPages p = pages.get(i);
      if (picks == null || q.prompt == 0) {
        all.add(List.of(p.dense(0, q.tokens())));
      } else {
        int whole = q.prompt / 64;
        Tensor[] keys = Arrays.copyOf(p.keys, whole);
        Tensor[] values = Arrays.copyOf(p.values, whole);
        all.add(
            List.of(
                KvSegment.picked(keys, values, q.prompt, picks), p.dense(q.prompt, q.tokens())));
      }
    }
    return new KvView(s.shape().layout(), all);
  }

  /** Outputs, and the state of the softmax. */
  record Attended(Tensor out, Tensor state) {
    int[] bits() {
      return IntStream.concat(Arrays.stream(Arena.bits(out)), Arrays.stream(Arena.bits(state)))
          .toArray();
    }
  }

  Attended attend(KvView view) {
    Tensor out = a.zeros(batch.size(), q.columns());
    Tensor state = a.zeros(batch.size(), 2 * s.kvHeads * s.group);
    a.kernels.attend(s.shape(), LAYER, q, batch, view, rope, out, state);
    return new Attended(out, state);
  }

  Tensor mass(Tensor state) {
    int longest = sequences.stream().mapToInt(Sequence::tokens).max().orElseThrow();
    Tensor mass = a.zeros(sequences.size() * s.kvHeads, longest);
    a.kernels.attentionMass(s.shape(), LAYER, q, batch, view(null), rope, state, mass);
    return mass;
  }

  int[] landmarkBytes() {
    return landmarks.stream()
        .flatMap(Arrays::stream)
        .flatMapToInt(t -> IntStream.range(0, t.columns()).map(i -> t.storage().bytes().get(i)))
        .toArray();
  }

  /** The picks of the rows of sequences that have some; what is behind a count means nothing. */
  int[] pickedIds(ChunkPicks picks) {
    IntStream.Builder all = IntStream.builder();
    for (int i = 0; i < sequences.size(); i++) {
      if (sequences.get(i).prompt == 0) continue;
      Slice slice = batch.slices().get(i);
      for (int row = slice.firstRow() * s.kvHeads; row < slice.endRow() * s.kvHeads; row++) {
        for (int id : ids(picks, row)) all.add(id);
        all.add(-1);
      }
    }
    return all.build().toArray();
  }

  static int[] ids(ChunkPicks picks, int row) {
    return IntStream.rangeClosed(1, picks.ids().i32(row, 0))
        .map(i -> picks.ids().i32(row, i))
        .toArray();
  }
}
