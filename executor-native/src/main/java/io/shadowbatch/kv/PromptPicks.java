package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** The chunks that the rows of a step read of their prompts, chosen anew for each layer. */
final class PromptPicks implements AutoCloseable {
  private final Kernels kernels;
  private final KvLayout layout;
  private final ShadowSpec spec;
  private final LandmarkLayout landmarkLayout;
  private Storage storage;
  private ChunkPicks picks;
  private ChunkView chunks;
  private List<SparsePrompt> prompts = List.of();
  private List<Slice> slices = List.of();
  private List<List<Row>> groups = List.of();
  private boolean any;

  /** A row of the batch with the prompt that it reads. */
  record Row(int index, SparsePrompt prompt) {}

  PromptPicks(Kernels kernels, KvLayout layout, ShadowSpec spec) {
    this.kernels = kernels;
    this.layout = layout;
    this.spec = spec;
    this.landmarkLayout = new LandmarkLayout(layout, spec.chunkTokens());
  }

  /** A step begins; one prompt, or null, for each slice. */
  void begin(TokenBatch batch, List<SparsePrompt> ofSlices) {
    any = ofSlices.stream().anyMatch(p -> p != null);
    prompts = ofSlices;
    slices = batch.slices();
    if (!any) return;
    List<ChunkView.Chunks> views = new ArrayList<>();
    int chunksMost = 0;
    for (SparsePrompt p : ofSlices) {
      views.add(p == null ? null : view(p));
      if (p != null) chunksMost = Math.max(chunksMost, p.sparseTokens() / spec.chunkTokens());
    }
    chunks = new ChunkView(landmarkLayout, views);
    groups = groups();
    int most = spec.budgetChunks() + spec.exactChunks();
    if (spec.attend() == ShadowSpec.Attend.UNION) most = chunksMost;
    picks = new ChunkPicks(table(batch.size() * layout.kvHeads(), 1 + most), spec.chunkTokens());
  }

  private ChunkView.Chunks view(SparsePrompt p) {
    return new ChunkView.Chunks(p.landmarks(), exactTable(p), spec.budgetChunks());
  }

  private Tensor exactTable(SparsePrompt p) {
    return OutlierChunks.table(layout, spec.outlierChunks(), p.exact().tensor());
  }

  private Tensor table(int rows, int columns) {
    long bytes = 4L * rows * columns;
    if (storage == null || storage.byteSize() < bytes) {
      close(); // and forgotten: where there is no memory now, a later step must not use it
      storage = kernels.allocateHost(bytes + bytes / 2);
    }
    return Tensor.of(storage, DType.I32, rows, columns);
  }

  /** Rows whose prompts begin with the same page. */
  private List<List<Row>> groups() {
    Map<Long, List<Row>> byPage = new HashMap<>();
    for (int s = 0; s < slices.size(); s++) {
      SparsePrompt p = prompts.get(s);
      if (p == null) continue;
      List<Row> group = byPage.computeIfAbsent(p.serials()[0], x -> new ArrayList<>());
      for (int r = slices.get(s).firstRow(); r < slices.get(s).endRow(); r++) {
        group.add(new Row(r, p));
      }
    }
    return List.copyOf(byPage.values());
  }

  /** What a slice of the step reads by picks; null where it reads everything. */
  SparsePrompt prompt(int slice) {
    return prompts.get(slice);
  }

  /** True if some rows of the step read their prompts by picks. */
  boolean any() {
    return any;
  }

  /** Where the picks of the step are; what it holds changes with each layer. */
  ChunkPicks picks() {
    return picks;
  }

  List<List<Row>> rowGroups() {
    return groups;
  }

  /** Picks for one layer. */
  void choose(AttentionShape shape, int layer, Tensor q, TokenBatch batch, RopeTable rope) {
    kernels.selectChunks(shape, layer, q, batch, chunks, rope, picks);
    if (spec.attend() == ShadowSpec.Attend.UNION) groups.forEach(this::unite);
  }

  /** Adds to each row's picks those of the others that are of pages which it has too. */
  private void unite(List<Row> group) {
    for (int head = 0; head < layout.kvHeads(); head++) {
      List<int[]> own = new ArrayList<>();
      for (Row row : group) own.add(of(row.index, head));
      for (Row row : group) {
        TreeSet<Integer> all = new TreeSet<>();
        for (int i = 0; i < group.size(); i++) {
          SparsePrompt other = group.get(i).prompt;
          for (int c : own.get(i)) if (samePage(row.prompt, other, c)) all.add(c);
        }
        put(row.index, head, all.stream().mapToInt(c -> c).toArray());
      }
    }
  }

  private boolean samePage(SparsePrompt a, SparsePrompt b, int chunk) {
    int page = chunk / spec.chunksPerPage();
    return page < a.serials().length && a.serials()[page] == b.serials()[page];
  }

  /** Picks of a row and KV head. */
  int[] of(int row, int head) {
    ByteBuffer bytes = picks.ids().storage().bytes();
    int at = (int) picks.ids().at(row * layout.kvHeads() + head, 0);
    int[] result = new int[bytes.getInt(at)];
    for (int i = 0; i < result.length; i++) result[i] = bytes.getInt(at + 4 + 4 * i);
    return result;
  }

  /** How many picks a row has for a KV head. */
  int count(int row, int head) {
    return picks.ids().i32(row * layout.kvHeads() + head, 0);
  }

  /** Replaces the picks of a row and KV head. */
  void put(int row, int head, int[] chosen) {
    ByteBuffer bytes = picks.ids().storage().bytes();
    int at = (int) picks.ids().at(row * layout.kvHeads() + head, 0);
    bytes.putInt(at, chosen.length);
    for (int c : chosen) bytes.putInt(at += 4, c);
  }

  /** The chunks that every row of a prompt reads, ascending. */
  int[] exact(SparsePrompt prompt, int layer, int head) {
    return prompt.exactChunks()[layer * layout.kvHeads() + head];
  }

  @Override
  public void close() {
    if (storage != null) storage.close();
    storage = null;
  }
}
