package io.shadowbatch.kv;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads complete prompts in part (ShadowKV, arXiv 2410.21465): rows behind a prompt score the means
 * of its chunks' keys, and attend to the best of them, to a few chunks that are always read, and
 * exactly to the prompt's end and all that follows. Values of such prompts lie in host memory.
 *
 * <p>Rows of prompts, and sequences that are never sealed, read everything exactly, wherever it
 * lies. What a page holds depends on the tokens up to it, and what is picked of a prompt on that
 * prompt: so requests share pages as they do in {@link FullKvStore}, and with {@link
 * ShadowSpec.Attend#PRIVATE} an answer never depends on who else is computed.
 */
public final class ShadowKvStore implements KvStore {
  private final Kernels kernels;
  private final List<AttentionShape> shapes;
  private final KvLayout layout;
  private final RopeTable rope;
  private final ShadowSpec spec;
  private final PrefixAttention attention;
  private final ShadowMemory memory;
  private final SequencePages sequences;
  private final PromptPicks picks;
  private final ShadowCounts counts;
  private final CapturedMass mass;
  private final Map<Integer, SparsePrompt> prompts = new HashMap<>();
  private TokenBatch viewed;
  private KvView view;

  /**
   * @param shapes one for each layer, all of one layout, none with a window
   * @param deviceBytes memory for pages, landmarks and what is read of prompts
   */
  public ShadowKvStore(
      Kernels kernels,
      List<AttentionShape> shapes,
      RopeTable rope,
      ShadowSpec spec,
      long deviceBytes,
      HostMemory host,
      PrefixAttention attention) {
    for (AttentionShape shape : shapes) {
      if (shape.window() > 0) {
        throw new IllegalArgumentException(
            "shadow keys and values: a layer sees a window of %d tokens; use dense ones"
                .formatted(shape.window()));
      }
    }
    this.kernels = kernels;
    this.shapes = List.copyOf(shapes);
    this.layout = shapes.get(0).layout();
    this.rope = rope;
    this.spec = spec;
    this.attention = attention;
    this.memory = new ShadowMemory(kernels, layout, rope, spec, deviceBytes, host);
    this.sequences = new SequencePages(memory.pages());
    this.picks = new PromptPicks(kernels, layout, spec);
    this.counts = new ShadowCounts(layout, spec);
    this.mass = new CapturedMass(kernels, rope, sequences, spec.chunkTokens());
  }

  @Override
  public boolean reserve(int sequence, int tokens) {
    return sequences.reserve(sequence, tokens);
  }

  @Override
  public boolean attach(int sequence, KvSpan span, int at) {
    return sequences.attach(sequence, span, at);
  }

  @Override
  public KvSpan share(int sequence, int from, int to) {
    return sequences.share(sequence, from, to);
  }

  @Override
  public void seal(int sequence, int tokens) {
    sequences.require(sequence);
    int sparse = spec.sparseTokens(tokens);
    if (sparse == 0) return;
    long begin = System.nanoTime();
    int[] pages = sequences.first(sequence, sparse / KvLayout.TILE);
    prompts.put(sequence, memory.settle(tokens, pages));
    viewed = null;
    counts.sealed(System.nanoTime() - begin);
  }

  @Override
  public void attend(int layer, Tensor q, Tensor k, Tensor v, TokenBatch batch, Tensor out) {
    if (batch != viewed) {
      view = view(batch);
      viewed = batch;
    }
    AttentionShape shape = shapes.get(layer);
    kernels.append(shape, layer, k, v, batch, view, rope);
    if (picks.any()) {
      picks.choose(shape, layer, q, batch, rope);
      counts.read(layer, picks);
      mass.sample(shape, layer, q, batch, picks);
      memory.bring(layer, picks);
    }
    kernels.attend(shape, layer, q, batch, view, rope, out, null);
  }

  /**
   * How often the weight is measured that exact attention gives to what rows read: in one step of
   * so many, 100 unless told. See {@link KvTraffic#massCaptured}.
   */
  public void measureMass(int oneOf) {
    mass.every(oneOf);
  }

  private KvView view(TokenBatch batch) {
    List<List<KvSegment>> segments = new ArrayList<>(batch.slices().size());
    List<SparsePrompt> sparse = new ArrayList<>(batch.slices().size());
    for (Slice slice : batch.slices()) sparse.add(sparse(slice, batch));
    picks.begin(batch, sparse);
    for (int s = 0; s < sparse.size(); s++) {
      Slice slice = batch.slices().get(s);
      SparsePrompt prompt = sparse.get(s);
      int length = batch.positions()[slice.endRow() - 1] + 1;
      int from = prompt == null ? 0 : prompt.sparseTokens();
      KvSegment dense = sequences.dense(slice.sequence(), from, length);
      segments.add(
          prompt == null ? List.of(dense) : List.of(memory.picked(prompt, picks.picks()), dense));
    }
    return new KvView(layout, segments, attention);
  }

  /** The prompt that a slice reads sparsely; null where it reads everything. */
  private SparsePrompt sparse(Slice slice, TokenBatch batch) {
    SparsePrompt prompt = prompts.get(slice.sequence());
    if (prompt == null || batch.positions()[slice.endRow() - 1] < prompt.promptTokens()) {
      return null;
    }
    if (batch.positions()[slice.firstRow()] < prompt.promptTokens()) {
      throw new IllegalStateException(
          "attend: rows at %d to %d of sequence %d, of which some are behind its prompt of %d"
              .formatted(
                  batch.positions()[slice.firstRow()],
                  batch.positions()[slice.endRow() - 1],
                  slice.sequence(),
                  prompt.promptTokens()));
    }
    return prompt;
  }

  @Override
  public void release(int sequence) {
    SparsePrompt prompt = prompts.remove(sequence);
    if (prompt != null) memory.forget(prompt);
    if (sequences.release(sequence)) viewed = null;
  }

  @Override
  public int shrink() {
    return memory.shrink();
  }

  @Override
  public KvUsage usage() {
    return memory.usage(sequences.sequences());
  }

  @Override
  public KvTraffic traffic() {
    return counts.traffic(memory, mass);
  }

  @Override
  public void close() {
    picks.close();
    memory.close();
  }
}
