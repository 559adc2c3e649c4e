package io.shadowbatch.kv;

import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.HostDraft;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * What a shadow store holds, and where. A page of a complete prompt has its keys and landmarks on
 * the device and its values in host memory, as far as there is some:
 *
 * <pre>
 *   device   keys  [layer][kvHead] blocks      64 tokens, as the codec stores them
 *            landmarks [layer][kvHead] blocks  64 / chunkTokens means of keys
 *   host     values [layer][kvHead] blocks
 * </pre>
 *
 * <p>With low-rank keys the device holds factors in their place, and slots for what is read; exact
 * keys follow the values to the host, for prompts that build on the same pages.
 */
final class ShadowMemory implements AutoCloseable {
  private final Kernels kernels;
  private final KvLayout layout;
  private final ShadowSpec spec;
  private final LandmarkLayout landmarkLayout;
  private final HostCopy reading;
  private final HostDraft writing;
  private final MemoryTier device;
  private final MemoryTier host;
  private final KvPages pages;
  private final BlockPool landmarks;
  private final BlockPool exact;
  private final BlockPool hostHalves;
  private final PromptFactors factors; // null where keys are exact
  private final ChunkSlots slots; // null where keys are exact

  ShadowMemory(
      Kernels kernels,
      KvLayout layout,
      RopeTable rope,
      ShadowSpec spec,
      long deviceBytes,
      HostMemory hostMemory) {
    this.kernels = kernels;
    this.layout = layout;
    this.spec = spec;
    this.landmarkLayout = new LandmarkLayout(layout, spec.chunkTokens());
    this.reading = new HostCopy(kernels);
    this.writing = new HostDraft(kernels);
    this.device = new MemoryTier(kernels::allocate, deviceBytes);
    this.host = new MemoryTier(hostMemory.source(kernels), hostMemory.bytes());
    this.pages = new KvPages(kernels, layout, device);
    this.landmarks = device.pool((int) landmarkLayout.pageBytes());
    int columns = OutlierChunks.columns(spec.outlierChunks());
    this.exact = device.pool(4 * layout.layers() * layout.kvHeads() * columns);
    this.hostHalves = host.pool((int) layout.halfBytes());
    requireHost(hostMemory);
    if (spec.lowRank()) {
      FactorLayout factorLayout = new FactorLayout(layout, spec.keys(), spec.rank());
      this.factors = new PromptFactors(kernels, factorLayout, rope, pages, device);
      this.slots = new ChunkSlots(kernels, factorLayout, spec.chunkTokens(), rope, pages);
    } else {
      if (spec.keys() != null) new FactorLayout(layout, spec.keys(), 0); // refuses another codec
      this.factors = null;
      this.slots = null;
    }
  }

  /** Fails now rather than in the middle of a job. */
  private void requireHost(HostMemory asked) {
    if (asked.bytes() < hostHalves.blockBytes()) return; // none was wanted
    BlockPool.Block first = hostHalves.take();
    if (first == null) {
      throw new IllegalStateException(
          "host memory: %s has not even %d bytes of %d; give it more room, or ask for less"
              .formatted(asked.place(), hostHalves.slabBytes(), asked.bytes()));
    }
    first.close();
  }

  KvPages pages() {
    return pages;
  }

  /**
   * A prompt is complete: makes the landmarks, and the factors, that its first pages lack, and
   * moves what the device need not hold any more.
   */
  SparsePrompt settle(int promptTokens, int[] numbers) {
    makeLandmarks(numbers);
    PageFactors[] ofPages = null;
    if (factors != null) {
      ofPages = factors.of(numbers);
      for (int page : numbers) {
        if (pages.keysOnDevice(page)) pages.moveKeys(page, hostHalves.take());
      }
      slots.reserve(spec.budgetChunks() + spec.exactChunks());
    }
    Tensor[] means = new Tensor[numbers.length];
    long[] serials = new long[numbers.length];
    for (int i = 0; i < means.length; i++) {
      means[i] = pages.landmarks(numbers[i]);
      serials[i] = pages.serial(numbers[i]);
    }
    int tokens = numbers.length * KvLayout.TILE;
    int[][] chunks = OutlierChunks.of(landmarkLayout, means, spec.outlierChunks(), reading);
    return new SparsePrompt(
        promptTokens, tokens, numbers, serials, means, chunks, exact(chunks), ofPages);
  }

  /** Nobody reads a prompt any more. */
  void forget(SparsePrompt prompt) {
    prompt.exact().close();
    if (slots != null) slots.reserve(-spec.budgetChunks() - spec.exactChunks());
  }

  private void makeLandmarks(int[] numbers) {
    List<Tensor> keys = new ArrayList<>();
    List<Tensor> means = new ArrayList<>();
    for (int page : numbers) {
      if (pages.valuesOnDevice(page)) pages.moveValues(page, hostHalves.take());
      if (pages.landmarks(page) != null) continue;
      BlockPool.Block block = landmarks.takeOver();
      if (block == null) {
        throw new OutOfMemoryError(
            "no memory for landmarks of %d bytes; give the engine more of the machine's"
                .formatted(landmarks.blockBytes()));
      }
      pages.landmarks(page, block);
      keys.add(pages.keys(page));
      means.add(block.tensor());
    }
    if (keys.isEmpty()) return;
    kernels.summarise(
        layout, spec.chunkTokens(), keys.toArray(Tensor[]::new), means.toArray(Tensor[]::new));
  }

  /** The chunks that every row of a prompt reads. */
  private BlockPool.Block exact(int[][] chunks) {
    BlockPool.Block block = exact.takeOver();
    if (block == null) throw new OutOfMemoryError("no memory for a table of chunks");
    Tensor table = OutlierChunks.table(layout, spec.outlierChunks(), block.tensor());
    OutlierChunks.write(chunks, writing.of(table));
    writing.send();
    return block;
  }

  /** The part of a prompt that is read by picks: its own pages, or slots. */
  KvSegment picked(SparsePrompt prompt, ChunkPicks picks) {
    if (slots != null) {
      return KvSegment.picked(slots.keys(), slots.values(), prompt.sparseTokens(), picks);
    }
    Tensor[] keys = new Tensor[prompt.pages().length];
    Tensor[] values = new Tensor[keys.length];
    for (int i = 0; i < keys.length; i++) {
      keys[i] = pages.keys(prompt.pages()[i]);
      values[i] = pages.values(prompt.pages()[i]);
    }
    return KvSegment.picked(keys, values, prompt.sparseTokens(), picks);
  }

  /** Rows have picked for a layer: brings what they picked to where they read it. */
  void bring(int layer, PromptPicks picks) {
    if (slots != null) slots.fill(layer, picks);
  }

  /** Chunks found in slots so far. */
  long hits() {
    return slots == null ? 0 : slots.hits();
  }

  /** Chunks brought into slots so far. */
  long misses() {
    return slots == null ? 0 : slots.misses();
  }

  /** Bytes of a token's values in one layer and KV head, with their share of its scales. */
  int valueBytes() {
    return layout.blockBytes() / KvLayout.TILE;
  }

  int shrink() {
    host.shrink(host.limit());
    return pages.shrink();
  }

  KvUsage usage(int sequences) {
    return new KvUsage(
        pages.size(),
        pages.freePages(),
        layout.pageBytes(),
        KvLayout.TILE,
        sequences,
        device.used(),
        host.used());
  }

  @Override
  public void close() {
    if (factors != null) factors.close();
    pages.close();
    host.close();
    reading.close();
    writing.close();
  }
}
