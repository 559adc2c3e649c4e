#include "numeric.h"
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

void putInt8(uint8_t* block, int d, int slot, float* keys, const float* values, int rotation) {
  rotate(keys, d, rotation);
  const float keyTop = largest(keys, d);
  const float valueTop = largest(values, d);
  const F keyInverse = splat(127.f / keyTop);
  const F valueInverse = splat(127.f / valueTop);
  uint8_t* valueQuad = block + kTile * d + slot / 4 * 4 * d;
  for (int i = 0; i < d; i += 16) {
    alignas(16) uint8_t key[16];
    storeBytes(key, addI(toInt(mul(load(keys + i), keyInverse)), splatI(128)));
    for (int quad = 0; quad < 4; quad++) {
      std::memcpy(block + (i / 4 + quad) * 4 * kTile + 4 * slot, key + 4 * quad, 4);
    }
    mergeBytes(valueQuad + 4 * i, slot, toInt(mul(load(values + i), valueInverse)));
  }
  auto* scales = reinterpret_cast<float*>(block + 2 * kTile * d);
  const float valueScale = valueTop / 127.f;
  const float before = slot == 0 ? 0.f : scales[2 * kTile + slot - 1];
  scales[slot] = keyTop / 127.f;
  scales[kTile + slot] = valueScale;
  scales[2 * kTile + slot] = before > valueScale ? before : valueScale;
}

// An infinite half would turn the weights of zero of earlier rows into NaN.
SB_INLINE F finite(F x) { return minOf(maxOf(x, splat(-65504.f)), splat(65504.f)); }

void putHalf(uint8_t* block, int d, int slot, const float* keys, const float* values) {
  auto* key = reinterpret_cast<uint16_t*>(block);
  uint16_t* value = key + (kTile + slot) * d;
  for (int i = 0; i < d; i += 16) {
    alignas(32) uint16_t half[16];
    storeHalf(half, finite(load(keys + i)));
    for (int j = 0; j < 16; j++) key[(i + j) * kTile + slot] = half[j];
    storeHalf(value + i, finite(load(values + i)));
  }
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
      uint8_t* block = run.page + kv.layerOffset + head * kv.blockBytes;
      for (int row = run.from; row < run.to; row++) {
        const int position = kv.positions[row];
        const int slot = position % kTile;
        copyRow(a.k.row(row) + head * d, d, keys);
        rope(keys, kv.cos + position * kv.ropeStride, kv.sin + position * kv.ropeStride, kv.half);
        if (slot == 0) std::memset(block, 0, kv.blockBytes);
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
