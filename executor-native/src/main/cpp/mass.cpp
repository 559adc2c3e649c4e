// What attention gives each position, added up.
#include "ops.h"
#include "rows.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Adds the shares of rows [0, b.rows) of a token over its tiles.
void addShares(const KvArgs& kv, const Block& b, int head, const float* max, const float* inverse,
               float* mass) {
  const int d = kv.headDim;
  const long offset = kv.layerOffset + head * kv.blockBytes;
  alignas(64) float scores[kSubRows * kTile];
  alignas(64) float shares[kTile];
  for (int t = b.firstTile[0]; t <= b.position[0] / kTile; t++) {
    const auto* keys = reinterpret_cast<const uint8_t*>(b.keys[0][t]) + offset;
    if (kv.codec == kInt8) {
      const Queries queries = {b.packed, 2L * d, b.querySum, b.queryScale};
      scoreKeys(b.rows, queries, keys, reinterpret_cast<const float*>(keys + kTile * d), d, kTile,
                scores);
    } else {
      dotKeysHalf(b.rows, b.q, reinterpret_cast<const uint16_t*>(keys), d, scores);
    }
    const Span span = spanOf(kv, b.position[0], t);
    for (int r = 0; r < b.rows; r++) {
      for (int i = 0; i < kTile; i += 16) {
        const F x = expOf(sub(load(scores + r * kTile + i), splat(max[r])));
        store(shares + i, mul(x, splat(inverse[r])));
      }
      for (int i = span.from; i < span.to; i++) mass[t * kTile + i] += shares[i];
    }
  }
}

}  // namespace

void attentionMass(Pool& pool, const MassArgs& a) {
  pool.reserve(kScratchBytes);
  const KvArgs& kv = a.kv;
  const int group = kv.headsPerGroup;
  auto items = [&](int worker, int from, int to) {
    enterKernels();
    for (int item = from; item < to; item++) {
      const int slice = item / kv.kvHeads, head = item % kv.kvHeads;
      for (int token = a.firstRows[slice]; token < a.firstRows[slice + 1]; token++) {
        for (int first = 0; first < group; first += kHalfRows) {
          Block b = layOut(pool.scratch(worker), kv.headDim);
          float max[kHalfRows], inverse[kHalfRows];
          for (int j = first; j < least(group, first + kHalfRows); j++) {
            const float* state = a.state.row(token) + 2 * (head * group + j);
            max[b.rows] = state[0];
            inverse[b.rows] = 1.f / state[1];
            addRow(kv, a.q, b, token, head * group + j);
          }
          addShares(kv, b, head, max, inverse, a.mass.row(item));
        }
      }
    }
    leaveKernels();
  };
  parallel(pool, a.slices * kv.kvHeads, 1, items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
