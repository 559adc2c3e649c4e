package io.shadowbatch.kv;

import io.shadowbatch.kernels.ChunkCopies;
import io.shadowbatch.kernels.ChunkCopies.Place;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyChunks;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kv.PromptPicks.Row;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Device memory in which rows find the chunks that they picked of prompts whose keys are of low
 * rank: keys rebuilt from factors, or exact for outliers, and values from the host. Shared by all
 * sequences, so that a chunk which several rows of a step pick is made and fetched once; a slot
 * holds the same bits whenever and for whomever it was filled.
 */
final class ChunkSlots {
  private final Kernels kernels;
  private final KvLayout layout;
  private final FactorLayout factors;
  private final RopeTable rope;
  private final KvPages pages;
  private final BlockPool halves;
  private final int chunkTokens;
  private final int perPage;
  private final SlotTable[] tables; // by layer, then KV head
  private final List<BlockPool.Block> keys = new ArrayList<>();
  private final List<BlockPool.Block> values = new ArrayList<>();
  private final KeyChunks rebuilt;
  private final ChunkCopies fetched;
  private int wanted; // slots of all sequences together
  private long step;
  private long hits;
  private long misses;

  ChunkSlots(
      Kernels kernels, FactorLayout factors, int chunkTokens, RopeTable rope, KvPages pages) {
    this.kernels = kernels;
    this.layout = factors.kv();
    this.factors = factors;
    this.rope = rope;
    this.pages = pages;
    this.halves = pages.halves();
    this.chunkTokens = chunkTokens;
    this.perPage = KvLayout.TILE / chunkTokens;
    this.tables = new SlotTable[layout.layers() * layout.kvHeads()];
    for (int i = 0; i < tables.length; i++) tables[i] = new SlotTable();
    this.rebuilt = new KeyChunks(chunkTokens);
    this.fetched = new ChunkCopies(chunkTokens);
  }

  /** A sequence comes that reads so many chunks at a time; or goes, if they are negative. */
  void reserve(int chunks) {
    wanted += chunks;
    int pagesWanted = (wanted + perPage - 1) / perPage;
    while (keys.size() < pagesWanted) {
      BlockPool.Block key = halves.takeOver();
      BlockPool.Block value = key == null ? null : halves.takeOver();
      if (value == null) {
        if (key != null) key.close();
        wanted -= chunks;
        throw new OutOfMemoryError("no memory for slots of picked chunks");
      }
      keys.add(key);
      values.add(value);
    }
    while (keys.size() > pagesWanted) {
      keys.remove(keys.size() - 1).close();
      values.remove(values.size() - 1).close();
    }
    for (SlotTable table : tables) table.resize(keys.size() * perPage);
  }

  Tensor[] keys() {
    return keys.stream().map(BlockPool.Block::tensor).toArray(Tensor[]::new);
  }

  Tensor[] values() {
    return values.stream().map(BlockPool.Block::tensor).toArray(Tensor[]::new);
  }

  long hits() {
    return hits;
  }

  long misses() {
    return misses;
  }

  /** Fills slots with the chunks that rows picked, and puts slots in place of the picks. */
  void fill(int layer, PromptPicks picks) {
    step++;
    rebuilt.clear();
    fetched.clear();
    for (List<Row> group : picks.rowGroups()) {
      for (Row row : group) {
        for (int head = 0; head < layout.kvHeads(); head++) fill(layer, head, row, picks);
      }
    }
    kernels.lowRank().fetchChunks(layout, layer, fetched);
    kernels.lowRank().rebuildKeys(factors, layer, rebuilt, rope);
  }

  private void fill(int layer, int head, Row row, PromptPicks picks) {
    SlotTable table = tables[layer * layout.kvHeads() + head];
    SparsePrompt prompt = row.prompt();
    int[] chunks = picks.of(row.index(), head);
    int[] exact = picks.exact(prompt, layer, head);
    int nextExact = 0;
    for (int i = 0; i < chunks.length; i++) {
      int chunk = chunks[i];
      while (nextExact < exact.length && exact[nextExact] < chunk) nextExact++;
      boolean isExact = nextExact < exact.length && exact[nextExact] == chunk;
      int page = chunk / perPage;
      long name = (prompt.serials()[page] * perPage + chunk % perPage) * 2 + (isExact ? 1 : 0);
      int slot = table.find(name, step);
      if (slot >= 0) {
        hits++;
      } else {
        misses++;
        slot = table.take(name, step);
        bring(layer, head, prompt, chunk, slot, isExact);
      }
      chunks[i] = slot;
    }
    picks.put(row.index(), head, chunks);
  }

  private void bring(
      int layer, int head, SparsePrompt prompt, int chunk, int slot, boolean isExact) {
    int number = prompt.pages()[chunk / perPage];
    Tensor toKeys = keys.get(slot / perPage).tensor();
    Tensor toValues = values.get(slot / perPage).tensor();
    Place from =
        new Place(isExact ? pages.keys(number) : null, pages.values(number), chunk % perPage);
    fetched.add(from, new Place(toKeys, toValues, slot % perPage), head);
    if (isExact) return;
    PageFactors source = prompt.factors()[chunk / perPage];
    rebuilt.add(
        new KeyChunks.Source(source.factors(), chunk % perPage, source.basis().layer(layer)),
        chunk * chunkTokens,
        toKeys,
        slot % perPage,
        head);
  }
}
