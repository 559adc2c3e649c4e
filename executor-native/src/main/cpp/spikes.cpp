#include "spikes.h"

#include <algorithm>

namespace shadowbatch {

SpikeView SpikePlan::arrange(const Quantised& x, int rows, int columns, int blockRows,
                             int tileRows) {
  cut(rows, blockRows, tileRows);
  columns_.clear();
  size_t count = 0;
  int most = 0;
  for (SpikeBlock& block : blocks_) {
    findColumns(x, columns, block);
    most = std::max(most, block.lastColumn - block.firstColumn);
    for (int i = block.firstTile; i < block.lastTile; i++) {
      SpikeTile& tile = tiles_[i];
      for (int r = 0; r < tile.rows; r++) {
        tile.depth = std::max(tile.depth, static_cast<int>(x.spikes[tile.row + r]));
      }
      tile.first = static_cast<long>(count);
      count += static_cast<size_t>(tile.depth) * tile.rows;
      if (spikes_.size() < count) spikes_.resize(2 * count);
      fill(x, tile);
    }
  }
  return {tiles_.data(), blocks_.data(), static_cast<int>(blocks_.size()),
          columns_.data(), spikes_.data(), most};
}

// Slots go to columns in rising order, so that neighbours of a group are decoded together.
void SpikePlan::findColumns(const Quantised& x, int columns, SpikeBlock& block) {
  marks_.assign((columns + 63) / 64, 0);
  offsetOf_.resize(std::max(offsetOf_.size(), static_cast<size_t>(columns)));
  const SpikeTile& last = tiles_[block.lastTile - 1];
  for (int row = tiles_[block.firstTile].row; row < last.row + last.rows; row++) {
    const int32_t* column = x.spikeColumn + row * x.groupStride;
    for (int j = 0; j < x.spikes[row]; j++) marks_[column[j] / 64] |= 1ul << column[j] % 64;
  }
  block.firstColumn = static_cast<int>(columns_.size());
  for (size_t word = 0; word < marks_.size(); word++) {
    for (uint64_t bits = marks_[word]; bits != 0; bits &= bits - 1) {
      const int column = static_cast<int>(64 * word) + __builtin_ctzl(bits);
      offsetOf_[column] = kGroup * (static_cast<int>(columns_.size()) - block.firstColumn);
      columns_.push_back(column);
    }
  }
  block.lastColumn = static_cast<int>(columns_.size());
}

void SpikePlan::fill(const Quantised& x, const SpikeTile& tile) {
  Spike* out = spikes_.data() + tile.first;
  for (int r = 0; r < tile.rows; r++) {
    const long at = (tile.row + r) * x.groupStride;
    const int count = x.spikes[tile.row + r];
    for (int j = 0; j < count; j++) {
      out[j * tile.rows + r] = {offsetOf_[x.spikeColumn[at + j]], x.spikeValue[at + j]};
    }
    for (int j = count; j < tile.depth; j++) out[j * tile.rows + r] = {0, 0.f};
  }
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

SpikeView arrangeSpikes(SpikePlan& plan, const MatmulArgs& a, int blockRows, int tileRows) {
  return plan.arrange(a.x, a.rows, a.groups * kGroup, blockRows, tileRows);
}

}  // namespace shadowbatch
