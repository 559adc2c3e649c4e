// Query rows of attention: what a work item keeps of each, and what it sees of a tile.
#pragma once
#include "attention.h"

namespace shadowbatch {
namespace SB_ISA {

// Query rows (token and head of one KV head's group) of a work item. A tile is read from memory
// once for all rows of the item that see it in the same page.
constexpr int kBlockRows = 96;

// The largest score of a row that has seen nothing.
constexpr float kNoScore = -1e30f;

// The state of an item's rows, in a worker's scratch.
struct Block {
  uint8_t* packed;  // [rows][2 * d] integer queries
  float* q;         // [rows][d] float queries
  float* o;         // [rows][d]
  float* max;  // padded, like the sums: 16 are read and written at a time
  float* sum;
  float* queryScale;
  int32_t* querySum;
  int32_t* position;
  int32_t* firstTile;
  const int64_t** keys;  // of the row's slice, by tile
  const int64_t** values;
  int32_t* sliceEnd;  // behind the last row of the row's slice
  int rows;
};

template <class T>
SB_INLINE T* take(char*& p, long n) {
  T* at = reinterpret_cast<T*>(p);
  p += (n * sizeof(T) + 63) / 64 * 64;
  return at;
}

SB_INLINE Block layOut(char* scratch, int d) {
  Block b;
  b.packed = take<uint8_t>(scratch, kBlockRows * 2L * d);
  b.q = take<float>(scratch, kBlockRows * static_cast<long>(d));
  b.o = take<float>(scratch, kBlockRows * static_cast<long>(d));
  b.max = take<float>(scratch, kBlockRows + 16);
  b.sum = take<float>(scratch, kBlockRows + 16);
  b.queryScale = take<float>(scratch, kBlockRows);
  b.querySum = take<int32_t>(scratch, kBlockRows);
  b.position = take<int32_t>(scratch, kBlockRows);
  b.firstTile = take<int32_t>(scratch, kBlockRows);
  b.keys = take<const int64_t*>(scratch, kBlockRows);
  b.values = take<const int64_t*>(scratch, kBlockRows);
  b.sliceEnd = take<int32_t>(scratch, kBlockRows);
  b.rows = 0;
  return b;
}

// First position that a row sees.
SB_INLINE int firstSeen(const KvArgs& kv, int position) {
  return kv.window == 0 ? 0 : most(0, position - kv.window + 1);
}

SB_INLINE void addRow(const KvArgs& kv, Floats query, Block& b, int token, int head) {
  const int d = kv.headDim;
  const int r = b.rows++;
  const int position = kv.positions[token];
  b.position[r] = position;
  b.firstTile[r] = most(firstSeen(kv, position) / kTile, kv.rowFirstTile[token]);
  b.keys[r] = kv.keys + kv.rowPages[token];
  b.values[r] = kv.values + kv.rowPages[token];
  b.max[r] = kNoScore;
  b.sum[r] = 0.f;
  float* q = b.q + r * d;
  for (int i = 0; i < d; i += 16) store(b.o + r * d + i, splat(0.f));
  copyRow(query.row(token) + head * d, d, q);
  rope(q, kv.cos + position * kv.ropeStride, kv.sin + position * kv.ropeStride, kv.half);
  if (kv.codec != kInt8) {
    for (int i = 0; i < d; i += 16) store(q + i, mul(load(q + i), splat(kv.scale)));
    return;
  }
  rotate(q, d, kv.rotation);
  const float top = largest(q, d);
  const F inverse = splat(127.f / top);
  I total = splatI(0);
  for (int i = 0; i < d; i += 16) {
    const I x = toInt(mul(load(q + i), inverse));
    total = addI(total, x);
    packQuery(b.packed + r * 2L * d, i, x);
  }
  b.queryScale[r] = top / 127.f * kv.scale;
  b.querySum[r] = sumI16(total);
}

// The key and value block of a tile.
struct Tile {
  const uint8_t* keys;
  const uint8_t* values;
};

// What one row sees of a tile: slots [from, to).
struct Span {
  int from;
  int to;
};

SB_INLINE Span spanOf(const KvArgs& kv, int position, int tile) {
  return {most(0, firstSeen(kv, position) - tile * kTile),
          least(kTile, position + 1 - tile * kTile)};
}

}  // namespace SB_ISA
}  // namespace shadowbatch
