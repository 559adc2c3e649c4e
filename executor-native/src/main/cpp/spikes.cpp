#include "spikes.h"

#include <algorithm>

namespace shadowbatch {

SpikeView SpikePlan::arrange(const Quantised& x, int rows, int columns, int blockRows,
                             int tileRows) {
  cut(rows, blockRows, tileRows);
  columns_.clear();
  spikes_.clear();
  slotOf_.resize(std::max(slotOf_.size(), static_cast<size_t>(columns)), -1);
  int most = 0;
  for (SpikeBlock& block : blocks_) {
    block.firstColumn = static_cast<int>(columns_.size());
    for (int i = block.firstTile; i < block.lastTile; i++) {
      arrangeTile(x, tiles_[i], block.firstColumn);
    }
    block.lastColumn = static_cast<int>(columns_.size());
    for (int i = block.firstColumn; i < block.lastColumn; i++) slotOf_[columns_[i]] = -1;
    most = std::max(most, block.lastColumn - block.firstColumn);
  }
  return {tiles_.data(), blocks_.data(), static_cast<int>(blocks_.size()),
          columns_.data(), spikes_.data(), most};
}

void SpikePlan::cut(int rows, int blockRows, int tileRows) {
  tiles_.clear();
  blocks_.clear();
  for (int from = 0; from < rows; from += blockRows) {
    const int to = std::min(rows, from + blockRows);
    const int first = static_cast<int>(tiles_.size());
    int row = from;
    if (tileRows > kSmallTile) {
      for (; row + tileRows <= to; row += tileRows) tiles_.push_back({row, tileRows, 0, 0});
    }
    // Equal tiles rather than full ones and a remainder: 8 rows are 4 + 4.
    const long rest = to - row;
    const long count = (rest + kSmallTile - 1) / kSmallTile;
    for (long i = 0; i < count; i++) {
      const int begin = row + static_cast<int>(rest * i / count);
      const int end = row + static_cast<int>(rest * (i + 1) / count);
      tiles_.push_back({begin, end - begin, 0, 0});
    }
    blocks_.push_back({first, static_cast<int>(tiles_.size()), 0, 0});
  }
}

void SpikePlan::arrangeTile(const Quantised& x, SpikeTile& tile, int firstColumn) {
  for (int r = 0; r < tile.rows; r++) {
    tile.depth = std::max(tile.depth, static_cast<int>(x.spikes[tile.row + r]));
  }
  tile.first = static_cast<long>(spikes_.size());
  spikes_.resize(tile.first + static_cast<long>(tile.depth) * tile.rows, Spike{0, 0.f});
  for (int r = 0; r < tile.rows; r++) {
    const long at = (tile.row + r) * x.groupStride;
    for (int j = 0; j < x.spikes[tile.row + r]; j++) {
      int32_t& slot = slotOf_[x.spikeColumn[at + j]];
      if (slot < 0) {
        slot = static_cast<int32_t>(columns_.size()) - firstColumn;
        columns_.push_back(x.spikeColumn[at + j]);
      }
      spikes_[tile.first + static_cast<long>(j) * tile.rows + r] = {slot, x.spikeValue[at + j]};
    }
  }
}

SpikeView arrangeSpikes(SpikePlan& plan, const MatmulArgs& a, int blockRows, int tileRows) {
  return plan.arrange(a.x, a.rows, a.groups * kGroup, blockRows, tileRows);
}

}  // namespace shadowbatch
