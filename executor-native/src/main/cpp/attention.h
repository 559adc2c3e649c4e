// The integer loops of attention over one tile of 64 tokens, for up to kSubRows query rows. Each
// instruction set keeps queries and weights in the form it multiplies, in slots of fixed size.
#pragma once
#include "numeric.h"
#if defined(SB_AVX2)
#include "dot_avx2.h"
#endif

namespace shadowbatch {
namespace SB_ISA {

// Rows that go through a tile together: what the registers, or the tiles of AMX, hold.
#if defined(SB_AMX)
constexpr int kSubRows = 16;
#else
constexpr int kSubRows = 6;
#endif
constexpr int kHalfRows = 6;             // the same for half-precision keys and values
constexpr int kWeightBytes = 2 * kTile;  // of the packed weights of a row
constexpr int kMaxDim = 256;

// 16 query integers in [-127, 127] from dimension i on, into the packed query of a row (2 bytes a
// dimension).
void packQuery(uint8_t* packed, int i, I q);

// The 64 weights in [0, 32767] of a row.
SB_INLINE void packWeights(uint8_t* packed, const I (&p)[4]);

// Around a run of the next two on one thread.
void enterKernels();
void leaveKernels();

// out[r][64] = dot products of rows with the tile's keys; querySum[r] is the sum of r's integers.
void dotKeys(int rows, const uint8_t* packed, long stride, const int32_t* querySum,
             const uint8_t* keys, int d, int32_t* out);

// o[r][d] = o * correction[r] + back[r] * (weights times values); weights of tokens from
// 4 * quads on are zero.
void addValues(int rows, const uint8_t* packed, const int8_t* values, int d, int quads,
               const float* correction, const float* back, float* o);

// The same two with half-precision keys and values: scores in place of integers, q [rows][d].
void dotKeysHalf(int rows, const float* q, const uint16_t* keys, int d, float* out);
void addValuesHalf(int rows, const float* weights, const uint16_t* values, int d,
                   const float* correction, float* o);

#if defined(SB_AVX512)
// High 8 bits of all tokens, then low 7 bits.
SB_INLINE void packWeights(uint8_t* packed, const I (&p)[4]) {
  const I order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const I a = _mm512_packus_epi32(p[0], p[1]), b = _mm512_packus_epi32(p[2], p[3]);
  const I high = _mm512_packus_epi16(_mm512_srli_epi16(a, 7), _mm512_srli_epi16(b, 7));
  const I mask = _mm512_set1_epi16(127);
  const I low = _mm512_packus_epi16(andI(a, mask), andI(b, mask));
  _mm512_storeu_si512(packed, _mm512_permutexvar_epi32(order, high));
  _mm512_storeu_si512(packed + kTile, _mm512_permutexvar_epi32(order, low));
}
#elif defined(SB_AVX2)
SB_INLINE void packWeights(uint8_t* packed, const I (&p)[4]) {
  for (int j = 0; j < 4; j++) storePairs(reinterpret_cast<int16_t*>(packed) + 16 * j, p[j]);
}
#else
SB_INLINE void packWeights(uint8_t* packed, const I (&p)[4]) {
  auto* w = reinterpret_cast<int16_t*>(packed);
  for (int i = 0; i < kTile; i++) w[i] = static_cast<int16_t>(p[i / 16].v[i % 16]);
}
#endif

}  // namespace SB_ISA
}  // namespace shadowbatch
