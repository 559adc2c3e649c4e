// Landmarks: the mean of a chunk's keys, and how like it they are.
#include "numeric.h"
#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Sum over the Tokens lanes of each chunk, in all of them: distance Tokens / 2, .., 1.
template <int Tokens>
SB_INLINE F chunkSums(F x) {
  if (Tokens == 16) x = add(x, swapped<8>(x));
  if (Tokens >= 8) x = add(x, swapped<4>(x));
  x = add(x, swapped<2>(x));
  return add(x, swapped<1>(x));
}

// Elements i of the keys of 16 tokens from `slot` on, as floats.
SB_INLINE F keysOf(const SummariseArgs& a, const uint8_t* keys, int slot, int i) {
  if (a.codec != kInt8) return loadHalf(reinterpret_cast<const uint16_t*>(keys) + i * kTile + slot);
  const auto* quads = reinterpret_cast<const int32_t*>(keys + i / 4 * 4 * kTile + 4 * slot);
  const I x = addI(andI(shiftRight(loadI(quads), 8 * (i % 4)), splatI(255)), splatI(-128));
  return mul(toFloat(x), load(reinterpret_cast<const float*>(keys + kTile * a.headDim) + slot));
}

struct Likeness {
  float dot[kTile];
  float keySquares[kTile];
  float meanSquares[kTile];
};

float leastCos(const Likeness& l, int from, int tokens) {
  float least = 1.f;
  for (int i = from; i < from + tokens; i++) {
    const float lengths = __builtin_sqrtf(l.keySquares[i]) * __builtin_sqrtf(l.meanSquares[i]);
    const float cos = l.dot[i] / (lengths > 1e-30f ? lengths : 1e-30f);
    if (!(cos >= least)) least = cos >= -1.f ? cos : -1.f;
  }
  return least;
}

template <int Tokens>
void block(const SummariseArgs& a, const uint8_t* keys, uint8_t* out) {
  constexpr int chunks = kTile / Tokens;
  auto* landmarks = reinterpret_cast<uint16_t*>(out);
  Likeness l;
  for (int slot = 0; slot < kTile; slot += 16) {
    F dot = splat(0.f), keySquares = splat(0.f), meanSquares = splat(0.f);
    for (int i = 0; i < a.headDim; i++) {
      const F key = keysOf(a, keys, slot, i);
      const F mean = mul(chunkSums<Tokens>(key), splat(1.f / Tokens));
      dot = fma(mean, key, dot);
      keySquares = fma(key, key, keySquares);
      meanSquares = fma(mean, mean, meanSquares);
      alignas(32) uint16_t half[16];
      storeHalf(half, minOf(maxOf(mean, splat(-65504.f)), splat(65504.f)));
      for (int j = 0; j < 16 / Tokens; j++) {
        landmarks[i * chunks + slot / Tokens + j] = half[j * Tokens];
      }
    }
    store(l.dot + slot, dot);
    store(l.keySquares + slot, keySquares);
    store(l.meanSquares + slot, meanSquares);
  }
  auto* likeness = reinterpret_cast<float*>(out + 2L * a.headDim * chunks);
  for (int c = 0; c < chunks; c++) likeness[c] = leastCos(l, c * Tokens, Tokens);
}

}  // namespace

void summarise(Pool& pool, const SummariseArgs& a) {
  auto items = [&](int, int from, int to) {
    for (int item = from; item < to; item++) {
      const int page = item / a.blocks, at = item % a.blocks;
      const auto* keys = reinterpret_cast<const uint8_t*>(a.keys[page]) + at * a.keyBytes;
      auto* out = reinterpret_cast<uint8_t*>(a.landmarks[page]) + at * a.landmarkBytes;
      if (a.chunkTokens == 4) {
        block<4>(a, keys, out);
      } else if (a.chunkTokens == 8) {
        block<8>(a, keys, out);
      } else {
        block<16>(a, keys, out);
      }
    }
  };
  parallel(pool, a.pages * a.blocks, 1, items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
