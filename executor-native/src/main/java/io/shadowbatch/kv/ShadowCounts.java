package io.shadowbatch.kv;

import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kv.PromptPicks.Row;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What a shadow store did; written by its thread only. */
final class ShadowCounts {
  private final KvLayout layout;
  private final ShadowSpec spec;
  private long sealed;
  private long rows;
  private long tokensRead;
  private long tokensHeld;
  private long groupPicks;
  private long groupShared;
  private long buildNanos;
  private long steps;

  ShadowCounts(KvLayout layout, ShadowSpec spec) {
    this.layout = layout;
    this.spec = spec;
  }

  void sealed(long nanos) {
    sealed++;
    buildNanos += nanos;
  }

  /** Picks of a layer were made. */
  void read(int layer, PromptPicks picks) {
    for (List<Row> group : picks.rowGroups()) {
      for (Row row : group) {
        rows += layer == 0 ? 1 : 0;
        tokensHeld += (long) row.prompt().sparseTokens() * layout.kvHeads();
        for (int head = 0; head < layout.kvHeads(); head++) {
          tokensRead += (long) picks.count(row.index(), head) * spec.chunkTokens();
        }
      }
      // Sets are slow: one layer of each step, another every time, stands for all.
      if (group.size() > 1 && layer == steps % layout.layers()) overlap(group, picks);
    }
    steps += layer == layout.layers() - 1 ? 1 : 0;
  }

  /** How many chunks of later rows were picked by earlier ones. */
  private void overlap(List<Row> group, PromptPicks picks) {
    for (int head = 0; head < layout.kvHeads(); head++) {
      Set<Long> seen = new HashSet<>();
      for (int i = 0; i < group.size(); i++) {
        Row row = group.get(i);
        for (int chunk : picks.of(row.index(), head)) {
          long page = row.prompt().serials()[chunk / spec.chunksPerPage()];
          boolean known = !seen.add(page * KvLayout.TILE + chunk % spec.chunksPerPage());
          groupPicks += i > 0 ? 1 : 0;
          groupShared += i > 0 && known ? 1 : 0;
        }
      }
    }
  }

  /**
   * Host bytes are those of values: of every pick where rows read them in place, of misses where
   * slots keep them.
   */
  KvTraffic traffic(ShadowMemory memory, CapturedMass mass) {
    long fetched = spec.lowRank() ? memory.misses() * spec.chunkTokens() : tokensRead;
    return new KvTraffic(
        sealed,
        rows,
        tokensRead,
        tokensHeld,
        fetched * memory.valueBytes(),
        memory.hits(),
        memory.misses(),
        groupPicks,
        groupShared,
        mass.captured(),
        mass.rows(),
        buildNanos / 1e9);
  }
}
