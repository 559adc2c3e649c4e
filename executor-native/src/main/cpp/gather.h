// Picked chunks, gathered into a tile of 64 tokens in the layout of a dense one.
#pragma once
#include "rows.h"

namespace shadowbatch {
namespace SB_ISA {

// Rows that go through a gathered tile together, with both codecs.
constexpr int kLeastSubRows = kSubRows < kHalfRows ? kSubRows : kHalfRows;

// The halves of a picked segment's pages, and where the block of a layer and KV head is in each.
struct PickedSegment {
  const int64_t* keys;
  const int64_t* values;
  long offset;
};

// Where chunk `id` lies: the blocks of its page, and its first slot.
struct ChunkPlace {
  const uint8_t* keys;
  const uint8_t* values;
  int slot;
};

SB_INLINE ChunkPlace placeOf(const PickedSegment& s, int chunkTokens, int id) {
  const int perPage = kTile / chunkTokens;
  const int page = id / perPage;
  return {reinterpret_cast<const uint8_t*>(s.keys[page]) + s.offset,
          reinterpret_cast<const uint8_t*>(s.values[page]) + s.offset,
          id % perPage * chunkTokens};
}

// Bytes between the rows of a key block, and bytes of a token in one.
struct KeyRows {
  long count;
  long stride;
  long tokenBytes;
};

SB_INLINE KeyRows keyRows(const KvArgs& kv) {
  if (kv.codec == kInt8) return {kv.headDim / 4, 4 * kTile, 4};
  return {kv.headDim, 2 * kTile, 2};
}

// Asks for n chunks. A chunk's part of a row of keys lies within one line.
SB_INLINE void fetchChunks(const KvArgs& kv, const PickedSegment& s, int chunkTokens,
                           const int32_t* ids, int n) {
  const KeyRows rows = keyRows(kv);
  const long valueBytes = (kv.codec == kInt8 ? 1L : 2L) * kv.headDim;
  const long scales = static_cast<long>(kTile) * kv.headDim;
  for (int i = 0; i < n; i++) {
    const ChunkPlace c = placeOf(s, chunkTokens, ids[i]);
    const uint8_t* key = c.keys + rows.tokenBytes * c.slot;
    for (long j = 0; j < rows.count; j++) __builtin_prefetch(key + j * rows.stride, 0, 2);
    const uint8_t* value = c.values + valueBytes * c.slot;
    for (long j = 0; j < valueBytes * chunkTokens; j += 64) __builtin_prefetch(value + j, 0, 2);
    if (kv.codec == kInt8) {
      __builtin_prefetch(c.keys + scales + 4 * c.slot, 0, 2);
      __builtin_prefetch(c.values + scales + 4 * c.slot, 0, 2);
    }
  }
}

// Copies `bytes`, a multiple of 64.
SB_INLINE void copyLines(uint8_t* to, const uint8_t* from, long bytes) {
  for (long i = 0; i < bytes; i += 64) std::memcpy(to + i, from + i, 64);
}

// Chunks of Tokens tokens; KeyBytes: of a token in a row of keys.
template <int Tokens, int KeyBytes>
__attribute__((noinline)) void copyChunks(const KvArgs& kv, const PickedSegment& s,
                                          const int32_t* ids, int n, uint8_t* keys,
                                          uint8_t* values) {
  const KeyRows rows = keyRows(kv);
  const long valueBytes = (KeyBytes == 4 ? 1L : 2L) * kv.headDim;
  for (int i = 0; i < n; i++) {
    const ChunkPlace c = placeOf(s, Tokens, ids[i]);
    const uint8_t* key = c.keys + KeyBytes * c.slot;
    uint8_t* to = keys + KeyBytes * Tokens * i;
    for (long j = 0; j < rows.count; j++) {
      std::memcpy(to + j * KeyBytes * kTile, key + j * KeyBytes * kTile, KeyBytes * Tokens);
    }
    copyLines(values + i * Tokens * valueBytes, c.values + c.slot * valueBytes,
              Tokens * valueBytes);
    if (KeyBytes == 4) {
      const long scales = static_cast<long>(kTile) * kv.headDim;
      std::memcpy(keys + scales + 4 * Tokens * i, c.keys + scales + 4 * c.slot, 4 * Tokens);
      std::memcpy(values + scales + 4 * Tokens * i, c.values + scales + 4 * c.slot, 4 * Tokens);
    }
  }
}

// The tile of n chunks, in `room`: the largest value scales so far are found anew, and what of the
// tile is empty has values of 0, as in a page.
SB_INLINE Tile gatherChunks(const KvArgs& kv, const PickedSegment& s, int chunkTokens,
                            const int32_t* ids, int n, uint8_t* room) {
  const bool integer = kv.codec == kInt8;
  uint8_t* keys = room;
  uint8_t* values = room + kv.blockBytes;
  const auto copy =
      integer ? (chunkTokens == 4   ? copyChunks<4, 4>
                 : chunkTokens == 8 ? copyChunks<8, 4>
                                    : copyChunks<16, 4>)
              : (chunkTokens == 4   ? copyChunks<4, 2>
                 : chunkTokens == 8 ? copyChunks<8, 2>
                                    : copyChunks<16, 2>);
  copy(kv, s, ids, n, keys, values);
  const int slots = n * chunkTokens;
  if (integer) {
    auto* scales = reinterpret_cast<float*>(values + kTile * kv.headDim);
    float top = 0.f;
    for (int i = 0; i < slots; i++) {
      top = top > scales[i] ? top : scales[i];
      scales[kTile + i] = top;
    }
  } else if (slots < kTile) {
    std::memset(values + 2L * slots * kv.headDim, 0, 2L * (kTile - slots) * kv.headDim);
  }
  return {keys, values};
}

}  // namespace SB_ISA
}  // namespace shadowbatch
