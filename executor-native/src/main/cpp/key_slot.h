// How a key is stored in its block: the only code that writes keys, whether they are new or rebuilt.
#pragma once
#include "numeric.h"

namespace shadowbatch {
namespace SB_ISA {

// An infinite half would turn the weights of zero of earlier rows into NaN.
SB_INLINE F finite(F x) { return minOf(maxOf(x, splat(-65504.f)), splat(65504.f)); }

// Rotates the roped key, which is used up, and stores it as integers.
SB_INLINE void putKeyInt8(uint8_t* block, int d, int slot, float* key, int rotation) {
  rotate(key, d, rotation);
  const float top = largest(key, d);
  const F inverse = splat(127.f / top);
  for (int i = 0; i < d; i += 16) {
    alignas(16) uint8_t bytes[16];
    storeBytes(bytes, addI(toInt(mul(load(key + i), inverse)), splatI(128)));
    for (int quad = 0; quad < 4; quad++) {
      std::memcpy(block + (i / 4 + quad) * 4 * kTile + 4 * slot, bytes + 4 * quad, 4);
    }
  }
  reinterpret_cast<float*>(block + kTile * d)[slot] = top / 127.f;
}

SB_INLINE void putKeyHalf(uint8_t* block, int d, int slot, const float* key) {
  auto* halves = reinterpret_cast<uint16_t*>(block);
  for (int i = 0; i < d; i += 16) {
    alignas(32) uint16_t half[16];
    storeHalf(half, finite(load(key + i)));
    for (int j = 0; j < 16; j++) halves[(i + j) * kTile + slot] = half[j];
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
