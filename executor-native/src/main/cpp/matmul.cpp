#include "matmul.h"

#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Bytes of activations that a thread walks for each panel: half of a small L2 cache.
constexpr long kBlockBytes = 512 << 10;

// Tiles that fetch the next panel. One tile alone reads the panels in a row, and with very many the
// hardware fetches a panel in time.
constexpr int kFetchTiles = 20;
constexpr int kManyTiles = 43;

// From so many tiles on the next panel goes to L1: what a tile fetches is then small beside what it
// reads.
constexpr int kNearTiles = 4;

void rowBlock(const MatmulArgs& a, int panel, const SpikeView& spikes, const SpikeBlock& block,
              float* decoded) {
  PanelTile t = panelOf(a, panel, spikes, decoded);
  const int tiles = block.lastTile - block.firstTile;
  const int fetching = tiles > 1 && tiles <= kManyTiles ? least(tiles, kFetchTiles) : 0;
  t.fetchNear = tiles >= kNearTiles;
  for (int i = block.firstTile; i < block.lastTile; i++) {
    moveTo(t, a, panel, spikes, spikes.tiles[i]);
    t.fetchBytes = i - block.firstTile < fetching ? shareOfCell(fetching) : 0;
    // By the first tile, whose sums have just brought the panel's cells near.
    t.decode = i == block.firstTile ? &block : nullptr;
    panelTile(t, spikes.tiles[i].rows);
    t.fetch += static_cast<long>(a.groups) * t.fetchBytes;
  }
}

}  // namespace

void decodeColumns(const PanelTile& t) {
  float* out = t.decoded;
  for (int i = t.decode->firstColumn; i < t.decode->lastColumn; i++, out += kGroup) {
    const int k = t.spikeColumns[i];
    const uint8_t* cell = t.cells + static_cast<long>(k / kGroup) * kCellBytes;
    const uint8_t* quads = cell + k % kGroup / 4 * 128;
    const auto* f = reinterpret_cast<const float*>(cell + 1024);
    for (int half = 0; half < 2; half++) {
      const I four = loadI(reinterpret_cast<const int32_t*>(quads + 64 * half));
      const I q = andI(shiftRight(four, 8 * (k % 4)), splatI(0xff));
      store(out + 16 * half, fma(toFloat(q), load(f + 16 * half), load(f + 32 + 16 * half)));
    }
  }
}

void matmul(Pool& pool, const MatmulArgs& a) {
  const int panels = (a.columns + kGroup - 1) / kGroup;
  const long rowBytes = static_cast<long>(a.groups) * kGroup;
  int blockRows = static_cast<int>(kBlockBytes / rowBytes) / kTileRows * kTileRows;
  blockRows = most(kTileRows, blockRows);
  // Enough items for all threads when there are few panels.
  const int wanted = (8 * pool.threads() + panels - 1) / panels;
  const int even = ((a.rows + wanted - 1) / wanted + kTileRows - 1) / kTileRows * kTileRows;
  if (pool.threads() > 1 && even >= 4 * kTileRows) blockRows = least(blockRows, even);
  const SpikeView spikes = arrangeSpikes(*a.spikes, a, blockRows, kTileRows);
  pool.reserve(4L * kGroup * spikes.columnsMost);
  const long itemWork = rowBytes * kGroup * least(a.rows, blockRows);
  const int grain = static_cast<int>(1 + 1000000 / itemWork);
  auto items = [&](int worker, int from, int to) {
    auto* decoded = reinterpret_cast<float*>(pool.scratch(worker));
    for (int item = from; item < to; item++) {
      rowBlock(a, item % panels, spikes, spikes.blocks[item / panels], decoded);
    }
  };
  parallel(pool, panels * spikes.blockCount, grain, items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
