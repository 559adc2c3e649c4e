package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.StoreRig.Sizes;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The parts of a shadow store, put together as it does, so that a test sees what each makes: picks,
 * the state of the softmax, the mass of every position. Sequences end where their prompts do; then
 * each has one row.
 */
final class PromptRig implements AutoCloseable {
  final Kernels kernels;
  final Sizes sizes;
  final ShadowSpec spec;
  final RopeTable rope;
  private final ShadowMemory memory;
  private final SequencePages sequences;
  private final PromptPicks picks;
  private final Map<Integer, SparsePrompt> prompts = new HashMap<>();
  private final Map<Integer, Integer> lengths = new HashMap<>();
  private final List<Storage> storages = new ArrayList<>();

  PromptRig(Kernels kernels, Sizes sizes, ShadowSpec spec, RopeTable rope) {
    this.kernels = kernels;
    this.sizes = sizes;
    this.spec = spec;
    this.rope = rope;
    KvLayout layout = sizes.layout();
    long bytes = 400 * layout.pageBytes();
    memory = new ShadowMemory(kernels, layout, rope, spec, bytes, HostMemory.of(bytes));
    sequences = new SequencePages(memory.pages());
    picks = new PromptPicks(kernels, layout, spec);
  }

  /** RoPE that turns nothing: then keys and queries are alike wherever they stand. */
  static RopeTable still(Kernels kernels, Sizes sizes, int positions) {
    return RopeTable.of(kernels, new double[sizes.headDim() / 2], positions);
  }

  /** Keys and values of the next tokens of a sequence, the same in all layers. */
  void append(int sequence, float[][] k, float[][] v) {
    int from = lengths.getOrDefault(sequence, 0);
    int to = from + k.length;
    if (!sequences.reserve(sequence, to)) throw new IllegalStateException("no room");
    lengths.put(sequence, to);
    KvView view = dense(List.of(sequence));
    int[] positions = IntStream.range(from, to).toArray();
    TokenBatch batch =
        new TokenBatch(
            k.length, new int[k.length], positions, List.of(new Slice(0, 0, k.length)), new int[0]);
    for (int layer = 0; layer < sizes.layers(); layer++) {
      kernels.append(shape(layer), layer, tensor(k), tensor(v), batch, view, rope);
    }
  }

  /** The first tokens of a sequence become those of a new one. */
  void fork(int from, int tokens, int to) {
    try (KvSpan span = sequences.share(from, 0, tokens)) {
      sequences.attach(to, span, 0);
    }
    lengths.put(to, tokens);
  }

  /** The prompt is what was appended, but for the last token, which is the row's. */
  SparsePrompt seal(int sequence) {
    int prompt = lengths.get(sequence) - 1;
    int sparse = spec.sparseTokens(prompt);
    SparsePrompt made = memory.settle(prompt, sequences.first(sequence, sparse / KvLayout.TILE));
    prompts.put(sequence, made);
    return made;
  }

  AttentionShape shape(int layer) {
    return sizes.shapes().get(layer);
  }

  private KvView dense(List<Integer> ids) {
    List<List<KvSegment>> all = new ArrayList<>();
    for (int id : ids) all.add(List.of(sequences.dense(id, 0, lengths.get(id))));
    return new KvView(sizes.layout(), all);
  }

  /** What rows get: outputs [n, heads * d], states [n, 2 * heads]. */
  record Attended(Tensor out, Tensor state) {
    /** Sum of the exponentials of a head's scores, not shifted. */
    double sum(int row, int head) {
      return Math.exp(state.f32(row, 2 * head)) * state.f32(row, 2 * head + 1);
    }
  }

  /** One row of each sequence, its last token. */
  TokenBatch rows(List<Integer> ids) {
    List<Slice> slices = new ArrayList<>();
    int[] positions = new int[ids.size()];
    for (int i = 0; i < positions.length; i++) {
      slices.add(new Slice(ids.get(i), i, 1));
      positions[i] = lengths.get(ids.get(i)) - 1;
    }
    return new TokenBatch(
        positions.length, new int[positions.length], positions, slices, new int[0]);
  }

  /** Reads everything. */
  Attended dense(int layer, List<Integer> ids, Tensor q) {
    return attend(layer, rows(ids), dense(ids), q);
  }

  /** Mass of each position, [ids * kvHeads, longest]. */
  Tensor mass(int layer, List<Integer> ids, Tensor q, Attended dense) {
    int longest = ids.stream().mapToInt(lengths::get).max().orElseThrow();
    Tensor mass = tensor(new float[ids.size() * sizes.kvHeads()][longest]);
    kernels.attentionMass(shape(layer), layer, q, rows(ids), dense(ids), rope, dense.state, mass);
    return mass;
  }

  /** Picks chunks, then reads by them. */
  Attended sparse(int layer, List<Integer> ids, Tensor q) {
    TokenBatch batch = rows(ids);
    List<SparsePrompt> ofRows = ids.stream().map(prompts::get).toList();
    picks.begin(batch, ofRows);
    picks.choose(shape(layer), layer, q, batch, rope);
    List<List<KvSegment>> all = new ArrayList<>();
    for (int id : ids) {
      SparsePrompt prompt = prompts.get(id);
      KvSegment tail = sequences.dense(id, prompt.sparseTokens(), lengths.get(id));
      all.add(List.of(memory.picked(prompt, picks.picks()), tail));
    }
    return attend(layer, batch, new KvView(sizes.layout(), all), q);
  }

  /** What the last {@link #sparse} picked for a row. */
  int[] picked(int row, int kvHead) {
    return picks.of(row, kvHead);
  }

  /** Chunks that all rows of a sequence read. */
  int[] exact(int sequence, int layer, int kvHead) {
    return picks.exact(prompts.get(sequence), layer, kvHead);
  }

  /** Mass of the positions that the last {@link #sparse} read. */
  double captured(Tensor mass, int row, int id, int kvHead) {
    int from = row * sizes.kvHeads() + kvHead;
    double sum = 0;
    for (int chunk : picked(row, kvHead)) sum += chunk(mass, from, chunk);
    for (int p = prompts.get(id).sparseTokens(); p < lengths.get(id); p++) sum += mass.f32(from, p);
    return sum;
  }

  /** Mass of a chunk, by a row of the mass. */
  double chunk(Tensor mass, int row, int chunk) {
    double sum = 0;
    for (int t = 0; t < spec.chunkTokens(); t++) {
      sum += mass.f32(row, chunk * spec.chunkTokens() + t);
    }
    return sum;
  }

  private Attended attend(int layer, TokenBatch batch, KvView view, Tensor q) {
    int heads = sizes.kvHeads() * sizes.group();
    Tensor out = tensor(new float[batch.size()][heads * sizes.headDim()]);
    Tensor state = tensor(new float[batch.size()][2 * heads]);
    kernels.attend(shape(layer), layer, q, batch, view, rope, out, state);
    return new Attended(out, state);
  }

  Tensor tensor(float[][] rows) {
    Storage s = kernels.allocate(4L * rows.length * rows[0].length);
    storages.add(s);
    Tensor t = Tensor.of(s, DType.F32, rows.length, rows[0].length);
    for (int i = 0; i < rows.length; i++) t.writeRow(i, rows[i]);
    return t;
  }

  @Override
  public void close() {
    picks.close();
    memory.close();
    storages.forEach(Storage::close);
    rope.cos().storage().close();
  }
}
