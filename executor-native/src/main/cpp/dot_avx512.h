// Integer dot products of AVX-512 VNNI.
#pragma once
#include "vec.h"

namespace shadowbatch {
namespace SB_ISA {

// acc += four products of unsigned and signed bytes in each lane. One-instruction assembly: with
// the intrinsic, GCC 12 copies the accumulator twice for each instruction.
SB_INLINE void dot(I& acc, I unsignedBytes, I signedBytes) {
  asm("vpdpbusd %2,%1,%0" : "+v"(acc) : "v"(unsignedBytes), "v"(signedBytes));
}

// The four bytes at p in every lane.
SB_INLINE I broadcastQuad(const void* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
