#include "matmul.h"

#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Bytes of activations that a thread walks for each panel: half of a small L2 cache.
constexpr long kBlockBytes = 512 << 10;

// With more tiles than this the hardware fetches a panel in time.
constexpr int kFetchTiles = 20;

void rowBlock(const MatmulArgs& a, int panel, int from, int to) {
  PanelTile t;
  t.qStride = a.x.qStride;
  t.groupStride = a.x.groupStride;
  t.cells = a.w + static_cast<long>(panel) * a.groups * kCellBytes;
  t.groups = a.groups;
  t.bias = a.bias == nullptr ? nullptr : a.bias + panel * kGroup;
  t.outStride = a.out.stride;
  t.columns = least(kGroup, a.columns - panel * kGroup);
  t.add = a.add;
  // Equal tiles rather than full ones and a remainder: 8 rows are 4 + 4.
  const int tiles = (to - from + kTileRows - 1) / kTileRows;
  t.fetch = t.cells + static_cast<long>(a.groups) * kCellBytes;
  t.fetchBytes = tiles <= kFetchTiles ? shareOfCell(tiles) : 0;
  for (int i = 0; i < tiles; i++) {
    const int begin = from + static_cast<int>(static_cast<long>(to - from) * i / tiles);
    const int end = from + static_cast<int>(static_cast<long>(to - from) * (i + 1) / tiles);
    t.q = a.x.q + begin * a.x.qStride;
    t.scale = a.x.scale + begin * a.x.groupStride;
    t.sum = a.x.sum + begin * a.x.groupStride;
    t.spikes = a.x.spikes + begin;
    t.spikeColumn = a.x.spikeColumn + begin * a.x.groupStride;
    t.spikeValue = a.x.spikeValue + begin * a.x.groupStride;
    t.out = a.out.row(begin) + panel * kGroup;
    panelTile(t, end - begin);
    t.fetch += static_cast<long>(a.groups) * t.fetchBytes;
  }
}

}  // namespace

void matmul(Pool& pool, const MatmulArgs& a) {
  const int panels = (a.columns + kGroup - 1) / kGroup;
  const long rowBytes = static_cast<long>(a.groups) * kGroup;
  int blockRows = static_cast<int>(kBlockBytes / rowBytes) / kTileRows * kTileRows;
  blockRows = most(kTileRows, blockRows);
  // Enough items for all threads when there are few panels.
  const int wanted = (8 * pool.threads() + panels - 1) / panels;
  const int even = ((a.rows + wanted - 1) / wanted + kTileRows - 1) / kTileRows * kTileRows;
  if (pool.threads() > 1 && even >= 4 * kTileRows) blockRows = least(blockRows, even);
  const int blocks = (a.rows + blockRows - 1) / blockRows;
  const long itemWork = rowBytes * kGroup * least(a.rows, blockRows);
  const int grain = static_cast<int>(1 + 4000000 / itemWork);
  auto items = [&](int, int from, int to) {
    for (int item = from; item < to; item++) {
      const int begin = item / panels * blockRows;
      rowBlock(a, item % panels, begin, least(a.rows, begin + blockRows));
    }
  };
  parallel(pool, panels * blocks, grain, items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
