// The spikes of a product's left operand, arranged for its tiles. The rows of a matrix mostly spike
// in the same few columns (13 columns for 32 rows of SmolLM2's feed-forward input), so a thread
// decodes such a column of a panel once for all tiles of a row block.
#pragma once
#include <vector>

#include "args.h"

namespace shadowbatch {

// The memory of an arrangement; grows to what a model needs.
class SpikePlan {
 public:
  // Cuts [0, rows) into blocks of `blockRows`, these into tiles of `tileRows`, and what is left
  // (everything if that is not more than kSmallTile) into even tiles of at most kSmallTile; then
  // arranges the spikes of x, which has `columns` columns. Valid until the next call.
  SpikeView arrange(const Quantised& x, int rows, int columns, int blockRows, int tileRows);

 private:
  void cut(int rows, int blockRows, int tileRows);
  void findColumns(const Quantised& x, int columns, SpikeBlock& block);
  void fill(const Quantised& x, const SpikeTile& tile);

  std::vector<SpikeTile> tiles_;
  std::vector<SpikeBlock> blocks_;
  std::vector<int32_t> columns_;
  std::vector<Spike> spikes_;
  std::vector<uint64_t> marks_;    // of the columns with spikes in the current block
  std::vector<int32_t> offsetOf_;  // of each of them in what is decoded, in floats
};

}  // namespace shadowbatch
