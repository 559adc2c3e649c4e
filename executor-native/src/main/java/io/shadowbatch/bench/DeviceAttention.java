package io.shadowbatch.bench;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkCopies;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.LowRank;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The operations of {@link DeviceBench} that read keys and values, one layer of them. */
final class DeviceAttention {
  private static final int CHUNK = 8;
  private static final int EXACT = 17;
  private static final int RANK = 160;

  private final Kernels kernels;
  private final DeviceRig rig;
  private final DeviceBench.Shapes shapes;
  private final KvLayout layout;
  private final AttentionShape shape;

  DeviceAttention(Kernels kernels, DeviceRig rig, DeviceBench.Shapes shapes) {
    this.kernels = kernels;
    this.rig = rig;
    this.shapes = shapes;
    this.layout = new KvLayout(KvCodec.FP16, 1, shapes.kvHeads(), shapes.headDim());
    float scale = (float) (1 / Math.sqrt(shapes.headDim()));
    this.shape = new AttentionShape(layout, shapes.queryHeads(), scale, 0);
  }

  private double tokenBytes() {
    return 4.0 * shapes.kvHeads() * shapes.headDim();
  }

  private double pairFlops() {
    return 4.0 * shapes.queryHeads() * shapes.headDim();
  }

  private RopeTable rope(int positions) {
    return RopeTable.of(kernels, new double[shapes.headDim() / 2], positions);
  }

  void dense() {
    int context = shapes.context();
    prefill(0);
    prefill(context);
    decode("decode", shapes.sequences(), context, 0);
    decode("decode of one sequence", 1, context, 0);
    for (int group : new int[] {4, 16, 64}) {
      if (group <= shapes.sequences()) decode("decode behind a shared prefix", group, 64, context);
    }
  }

  private void prefill(int before) {
    int rows = shapes.tokens();
    Tensor[] keys = pages((before + rows) / KvLayout.TILE);
    Tensor[] values = pages((before + rows) / KvLayout.TILE);
    int[] positions = new int[rows];
    for (int i = 0; i < rows; i++) positions[i] = before + i;
    TokenBatch batch = batch(positions, List.of(new Slice(0, 0, rows)));
    KvView view =
        new KvView(layout, List.of(List.of(KvSegment.dense(keys, values, 0, before + rows))));
    RopeTable rope = rope(before + rows);
    int width = shapes.kvHeads() * shapes.headDim();
    Tensor k = rig.floats(rows, width);
    Tensor v = rig.floats(rows, width);
    double bytes = 12.0 * rows * width; // floats in, halves out
    if (before == 0) {
      double append = rig.seconds(() -> kernels.append(shape, 0, k, v, batch, view, rope));
      rig.report("append", append, bytes, 0);
    }
    double pairs = rows * (before + (rows + 1) / 2.0);
    attend("prefill behind " + before, batch, view, rope, pairs, (before + rows) * tokenBytes());
    rig.free();
  }

  private void decode(String name, int sequences, int own, int shared) {
    Tensor[] prefixKeys = pages(shared / KvLayout.TILE);
    Tensor[] prefixValues = pages(shared / KvLayout.TILE);
    List<List<KvSegment>> segments = new ArrayList<>();
    List<Slice> slices = new ArrayList<>();
    int[] positions = new int[sequences];
    for (int s = 0; s < sequences; s++) {
      Tensor[] keys = joined(prefixKeys, pages(own / KvLayout.TILE));
      Tensor[] values = joined(prefixValues, pages(own / KvLayout.TILE));
      segments.add(List.of(KvSegment.dense(keys, values, 0, shared + own)));
      slices.add(new Slice(s, s, 1));
      positions[s] = shared + own - 1;
    }
    double bytes = (shared + (double) sequences * own) * tokenBytes();
    double pairs = (double) sequences * (shared + own);
    String what = "%s: %d of %d, %d shared".formatted(name, sequences, own, shared);
    TokenBatch batch = batch(positions, slices);
    attend(what, batch, new KvView(layout, segments), rope(shared + own), pairs, bytes);
    rig.free();
  }

  private void attend(
      String name, TokenBatch batch, KvView view, RopeTable rope, double pairs, double bytes) {
    int width = shapes.queryHeads() * shapes.headDim();
    Tensor q = rig.floats(batch.size(), width);
    Tensor out = rig.floats(batch.size(), width);
    double seconds = rig.seconds(() -> kernels.attend(shape, 0, q, batch, view, rope, out, null));
    if (!(Math.abs(rig.first(out)) < 1e6)) throw new IllegalStateException(name + ": no numbers");
    rig.report(name, seconds, bytes, pairs * pairFlops());
  }

  /** What a row does that reads a prompt in part: landmarks, choice, fetch, rebuilt keys, picks. */
  void shadow() {
    int tokens = shapes.context();
    int count = tokens / KvLayout.TILE;
    int budget = Math.min(128, tokens / CHUNK / 4);
    LandmarkLayout marks = new LandmarkLayout(layout, CHUNK);
    Tensor[] keys = pages(count);
    Tensor[] landmarks = new Tensor[count];
    for (int i = 0; i < count; i++) {
      int bytes = (int) marks.pageBytes();
      landmarks[i] = Tensor.of(rig.allocate(bytes), DType.U8, 1, bytes);
    }
    double summarise = rig.seconds(() -> kernels.summarise(layout, CHUNK, keys, landmarks));
    rig.report("landmarks", summarise, tokens * tokenBytes() / 2, 0);
    int heads = shapes.kvHeads();
    int rows = shapes.sequences();
    Tensor exact = rig.ints(heads, 1 + EXACT, (r, c) -> c == 0 ? EXACT : c - 1);
    int most = EXACT + budget;
    Tensor ids = rig.ints(rows * heads, 1 + most, (r, c) -> c == 0 ? most : c - 1);
    ChunkPicks picks = new ChunkPicks(ids, CHUNK);
    ChunkView view = view(marks, landmarks, exact, budget, rows);
    TokenBatch batch = batch(positions(rows, tokens + KvLayout.TILE - 1), oneEach(rows));
    RopeTable rope = rope(tokens + KvLayout.TILE);
    Tensor q = rig.floats(rows, shapes.queryHeads() * shapes.headDim());
    double select = rig.seconds(() -> kernels.selectChunks(shape, 0, q, batch, view, rope, picks));
    double scored = (double) rows * tokens / CHUNK;
    rig.report("select chunks", select, scored * tokenBytes() / 2, scored * pairFlops() / 2);
    picked(keys, picks, batch, rope, most);
    fetch(budget);
    rebuild(budget);
    rig.free();
  }

  private static ChunkView view(
      LandmarkLayout marks, Tensor[] landmarks, Tensor exact, int budget, int rows) {
    List<ChunkView.Chunks> chunks = new ArrayList<>();
    for (int i = 0; i < rows; i++) {
      chunks.add(new ChunkView.Chunks(landmarks, exact, budget));
    }
    return new ChunkView(marks, chunks);
  }

  private void picked(Tensor[] keys, ChunkPicks picks, TokenBatch batch, RopeTable rope, int most) {
    Tensor[] values = pages(keys.length);
    int prompt = keys.length * KvLayout.TILE;
    List<List<KvSegment>> segments = new ArrayList<>();
    for (int i = 0; i < batch.size(); i++) {
      KvSegment tail = KvSegment.dense(pages(1), pages(1), prompt, KvLayout.TILE);
      segments.add(List.of(KvSegment.picked(keys, values, prompt, picks), tail));
    }
    double tokens = (double) batch.size() * (most * CHUNK + KvLayout.TILE);
    KvView view = new KvView(layout, segments);
    attend("picked decode", batch, view, rope, tokens, tokens * tokenBytes());
  }

  /** Every chunk of every sequence missed. */
  private void fetch(int budget) {
    int rows = shapes.sequences();
    int perPage = KvLayout.TILE / CHUNK;
    int count = Math.max(1, rows * budget / perPage);
    Tensor[] host = rig.pages(count, layout, rig::allocateHost);
    Tensor[] toKeys = pages(count);
    Tensor[] toValues = pages(count);
    ChunkCopies copies = new ChunkCopies(CHUNK);
    for (int i = 0; i < count * perPage; i++) {
      int page = i / perPage;
      for (int head = 0; head < shapes.kvHeads(); head++) {
        copies.add(
            new ChunkCopies.Place(null, host[page], i % perPage),
            new ChunkCopies.Place(toKeys[page], toValues[page], i % perPage),
            head);
      }
    }
    double seconds = rig.seconds(() -> kernels.lowRank().fetchChunks(layout, 0, copies));
    double bytes = (double) count * KvLayout.TILE * tokenBytes() / 2;
    rig.report("fetch values of the host", seconds, bytes, 0);
  }

  private void rebuild(int budget) {
    int width = shapes.kvHeads() * shapes.headDim();
    int rank = Math.min(RANK, width / 2);
    FactorLayout factors = new FactorLayout(layout, KeyStore.LOWRANK_FP16, rank);
    int perPage = KvLayout.TILE / CHUNK;
    int count = Math.max(1, shapes.sequences() * budget / perPage);
    int factorBytes = factors.pageBytes();
    Tensor factorPage = Tensor.of(rig.allocate(factorBytes), DType.U8, 1, factorBytes);
    LowRank basis =
        new LowRank(
            Tensor.of(rig.allocate(2L * rank * width), DType.F16, rank, width),
            rig.floats(1, width));
    Tensor[] to = pages(count);
    KeyChunks chunks = new KeyChunks(CHUNK);
    for (int i = 0; i < count * perPage; i++) {
      for (int head = 0; head < shapes.kvHeads(); head++) {
        KeyChunks.Source source = new KeyChunks.Source(factorPage, i % perPage, basis);
        chunks.add(source, i % perPage * CHUNK, to[i / perPage], i % perPage, head);
      }
    }
    RopeTable rope = rope(KvLayout.TILE);
    double seconds = rig.seconds(() -> kernels.lowRank().rebuildKeys(factors, 0, chunks, rope));
    double tokens = (double) count * KvLayout.TILE;
    rig.report("rebuild keys", seconds, tokens * 2 * (rank + width), tokens * 2.0 * rank * width);
  }

  private Tensor[] pages(int count) {
    return rig.pages(count, layout, rig::allocate);
  }

  private static Tensor[] joined(Tensor[] a, Tensor[] b) {
    Tensor[] all = Arrays.copyOf(a, a.length + b.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  private static int[] positions(int rows, int position) {
    int[] result = new int[rows];
    Arrays.fill(result, position);
    return result;
  }

  private static List<Slice> oneEach(int rows) {
    List<Slice> slices = new ArrayList<>();
    for (int i = 0; i < rows; i++) slices.add(new Slice(i, i, 1));
    return slices;
  }

  private static TokenBatch batch(int[] positions, List<Slice> slices) {
    int n = positions.length;
    return new TokenBatch(n, new int[n], positions, slices, new int[0]);
  }
}
