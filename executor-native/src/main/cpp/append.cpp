#include "key_slot.h"
#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Byte `slot % 4` of 16 words gets the low byte of each lane.
SB_INLINE void mergeBytes(uint8_t* p, int slot, I x) {
  const int shift = 8 * (slot % 4);
  const I keep = splatI(static_cast<int32_t>(~(0xffu << shift)));
  const I byte = shiftLeft(andI(x, splatI(255)), shift);
  auto* words = reinterpret_cast<int32_t*>(p);
  storeI(words, orI(andI(loadI(words), keep), byte));
}

// The blocks of a tile.
struct Block {
  uint8_t* keys;
  uint8_t* values;
};

void putInt8(Block block, int d, int slot, float* keys, const float* values, int rotation) {
  putKeyInt8(block.keys, d, slot, keys, rotation);
  const float top = largest(values, d);
  const F inverse = splat(127.f / top);
  uint8_t* quad = block.values + slot / 4 * 4 * d;
  for (int i = 0; i < d; i += 16) {
    mergeBytes(quad + 4 * i, slot, toInt(mul(load(values + i), inverse)));
  }
  auto* scales = reinterpret_cast<float*>(block.values + kTile * d);
  const float scale = top / 127.f;
  const float before = slot == 0 ? 0.f : scales[kTile + slot - 1];
  scales[slot] = scale;
  scales[kTile + slot] = before > scale ? before : scale;
}

void putHalf(Block block, int d, int slot, const float* keys, const float* values) {
  putKeyHalf(block.keys, d, slot, keys);
  uint16_t* value = reinterpret_cast<uint16_t*>(block.values) + slot * d;
  for (int i = 0; i < d; i += 16) storeHalf(value + i, finite(load(values + i)));
}

}  // namespace

void append(Pool& pool, const AppendArgs& a) {
  const KvArgs& kv = a.kv;
  const int d = kv.headDim;
  // One item is one tile of one head, so that its slots are written in order by one thread.
  auto items = [&](int, int from, int to) {
    alignas(64) float keys[256];
    for (int item = from; item < to; item++) {
      const AppendRun& run = a.runs[item / kv.kvHeads];
      const int head = item % kv.kvHeads;
      const long offset = kv.layerOffset + head * kv.blockBytes;
      const Block block = {run.keys + offset, run.values + offset};
      for (int row = run.from; row < run.to; row++) {
        const int position = kv.positions[row];
        const int slot = position % kTile;
        copyRow(a.k.row(row) + head * d, d, keys);
        rope(keys, kv.cos + position * kv.ropeStride, kv.sin + position * kv.ropeStride, kv.half);
        if (slot == 0) {
          std::memset(block.keys, 0, kv.blockBytes);
          std::memset(block.values, 0, kv.blockBytes);
        }
        const float* values = a.v.row(row) + head * d;
        if (kv.codec == kInt8) {
          putInt8(block, d, slot, keys, values, kv.rotation);
        } else {
          putHalf(block, d, slot, keys, values);
        }
      }
    }
  };
  const int rowsPerItem = most(1, kv.rows / most(1, a.runCount));
  parallel(pool, a.runCount * kv.kvHeads, most(1, rowGrain(4 * d) / rowsPerItem), items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
