// The integer loops of attention over one tile of 64 tokens, for up to kSubRows query rows. Each
// instruction set keeps queries and weights in the form it multiplies, in slots of fixed size.
#pragma once
#include "numeric.h"
#if defined(SB_AVX2)
#include "dot_avx2.h"
#endif

namespace shadowbatch {

// Integer queries of some rows, `stride` bytes apart, with the sum of each row's integers and its
// scale.
struct Queries {
  const uint8_t* packed;
  long stride;
  const int32_t* sum;
  const float* scale;
};

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
SB_INLINE void packQuery(uint8_t* packed, int i, I q) {
#if defined(SB_AVX2)
  storePairs(reinterpret_cast<int16_t*>(packed) + i, q);
#else
  storeBytes(packed + i, q);
#endif
}

// The 64 weights of a row, rounded to integers in [0, 32767]; what is not a number counts as 0.
SB_INLINE void packWeights(uint8_t* packed, const F (&weights)[4]);

// Around a run of the next two on one thread.
void enterKernels();
void leaveKernels();

// out[r][slot] = float(dot product of row r with the slot's key) * (keyScale[slot] * q.scale[r]),
// at least for slots [0, slots).
void scoreKeys(int rows, const Queries& q, const uint8_t* keys, const float* keyScale, int d,
               int slots, float* out);

// o[r][d] = o * correction[r] + back[r] * (weights times values); weights of tokens from
// 4 * quads on are zero.
void addValues(int rows, const uint8_t* packed, const int8_t* values, int d, int quads,
               const float* correction, const float* back, float* o);

// The same two with half-precision keys and values: scores in place of integers, q [rows][d].
void dotKeysHalf(int rows, const float* q, const uint16_t* keys, int d, float* out);
void addValuesHalf(int rows, const float* weights, const uint16_t* values, int d,
                   const float* correction, float* o);

#if defined(SB_AVX512)
// High 8 bits of all tokens, then low 7 bits. Not a number becomes the least integer, which the
// first packing clamps to 0.
SB_INLINE void packWeights(uint8_t* packed, const F (&weights)[4]) {
  const I order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  I p[4];
  for (int j = 0; j < 4; j++) p[j] = _mm512_cvtps_epi32(weights[j]);
  const I a = _mm512_packus_epi32(p[0], p[1]), b = _mm512_packus_epi32(p[2], p[3]);
  const I high = _mm512_packus_epi16(_mm512_srli_epi16(a, 7), _mm512_srli_epi16(b, 7));
  const I mask = _mm512_set1_epi16(127);
  const I low = _mm512_packus_epi16(andI(a, mask), andI(b, mask));
  _mm512_storeu_si512(packed, _mm512_permutexvar_epi32(order, high));
  _mm512_storeu_si512(packed + kTile, _mm512_permutexvar_epi32(order, low));
}
#elif defined(SB_AVX2)
SB_INLINE void packWeights(uint8_t* packed, const F (&weights)[4]) {
  auto* pairs = reinterpret_cast<int16_t*>(packed);
  for (int j = 0; j < 4; j++) storePairs(pairs + 16 * j, toInt(weights[j]));
}
#else
SB_INLINE void packWeights(uint8_t* packed, const F (&weights)[4]) {
  auto* w = reinterpret_cast<int16_t*>(packed);
  for (int j = 0; j < 4; j++) {
    const I p = toInt(weights[j]);
    for (int i = 0; i < 16; i++) w[16 * j + i] = static_cast<int16_t>(p.v[i]);
  }
}
#endif

}  // namespace SB_ISA
}  // namespace shadowbatch
