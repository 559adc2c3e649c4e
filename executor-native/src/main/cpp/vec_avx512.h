// 16 lanes as one AVX-512 register. Included by vec.h only.
#pragma once
#include <immintrin.h>

namespace shadowbatch {
namespace SB_ISA {

using F = __m512;
using I = __m512i;
using M = __mmask16;

SB_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
SB_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
SB_INLINE F splat(float x) { return _mm512_set1_ps(x); }
SB_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
SB_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
SB_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
SB_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
SB_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
SB_INLINE F fms(F a, F b, F c) { return _mm512_fmsub_ps(a, b, c); }
// a > b ? a : b, so b if one of them is not a number.
SB_INLINE F maxOf(F a, F b) { return _mm512_max_ps(a, b); }
SB_INLINE F minOf(F a, F b) { return _mm512_min_ps(a, b); }
SB_INLINE F nearest(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT); }

SB_INLINE I loadI(const int32_t* p) { return _mm512_loadu_si512(p); }
SB_INLINE void storeI(int32_t* p, I x) { _mm512_storeu_si512(p, x); }
SB_INLINE I splatI(int x) { return _mm512_set1_epi32(x); }
SB_INLINE I addI(I a, I b) { return _mm512_add_epi32(a, b); }
SB_INLINE I andI(I a, I b) { return _mm512_and_si512(a, b); }
SB_INLINE I orI(I a, I b) { return _mm512_or_si512(a, b); }
SB_INLINE I maxI(I a, I b) { return _mm512_max_epi32(a, b); }
SB_INLINE I shiftLeft(I x, int n) { return _mm512_sll_epi32(x, _mm_cvtsi32_si128(n)); }
SB_INLINE I shiftRight(I x, int n) { return _mm512_srl_epi32(x, _mm_cvtsi32_si128(n)); }
SB_INLINE I bitsOf(F x) { return _mm512_castps_si512(x); }
SB_INLINE F fromBits(I x) { return _mm512_castsi512_ps(x); }
SB_INLINE F toFloat(I x) { return _mm512_cvtepi32_ps(x); }
// Nearest integer, ties to even; 0 where x is not a number.
SB_INLINE I toInt(F x) { return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x); }

// x * 2^n for whole n in [-126, 127].
SB_INLINE F scaleByPower(F x, F n) { return _mm512_scalef_ps(x, n); }

SB_INLINE M lanesIn(int from, int to) {
  const int a = from < 0 ? 0 : from > 16 ? 16 : from;
  const int b = to < 0 ? 0 : to > 16 ? 16 : to;
  return static_cast<M>(((1u << b) - 1) & ~((1u << a) - 1));
}
SB_INLINE F select(M m, F yes, F no) { return _mm512_mask_blend_ps(m, no, yes); }
SB_INLINE I selectI(M m, I yes, I no) { return _mm512_mask_blend_epi32(m, no, yes); }
// Bit i: a[i] == b[i].
SB_INLINE int equalBits(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }

// Lane i of the result is lane i ^ H of x.
template <int H>
SB_INLINE F swapped(F x) {
  if (H == 8) return _mm512_shuffle_f32x4(x, x, 0x4e);
  if (H == 4) return _mm512_shuffle_f32x4(x, x, 0xb1);
  if (H == 2) return _mm512_permute_ps(x, 0x4e);
  return _mm512_permute_ps(x, 0xb1);
}

// Low bytes of the lanes.
SB_INLINE void storeBytes(void* p, I x) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x));
}
SB_INLINE I loadBytes(const void* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
SB_INLINE F loadHalf(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// Eight or four halves from each place, in order.
SB_INLINE F loadHalf2(const uint16_t* p, const uint16_t* q) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}
SB_INLINE F loadHalf4(const uint16_t* p, const uint16_t* q, const uint16_t* r, const uint16_t* s) {
  const __m128i a = _mm_unpacklo_epi64(_mm_loadu_si64(p), _mm_loadu_si64(q));
  const __m128i b = _mm_unpacklo_epi64(_mm_loadu_si64(r), _mm_loadu_si64(s));
  return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}
SB_INLINE void storeHalf(uint16_t* p, F x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, 0));
}

// Distances 8, 4, 2, 1.
SB_INLINE float sum16(F x) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
SB_INLINE float max16(F x) { return _mm512_reduce_max_ps(x); }

// out[r] = Op over the 16 lanes of row r for 8 rows together, at distances 8, 4, 2, 1.
template <class Op>
SB_INLINE void reduceEight(const float* x, float* out, Op op) {
  F pair[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    const F a = load(x + 32 * j), b = load(x + 32 * j + 16);
    pair[j] = op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  }
  F four[2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; j++) {
    const F a = pair[2 * j], b = pair[2 * j + 1];
    four[j] = op(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  }
  F y = op(_mm512_shuffle_ps(four[0], four[1], 0x44), _mm512_shuffle_ps(four[0], four[1], 0xee));
  y = op(y, _mm512_permute_ps(y, 0xb1));
  const I order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm256_storeu_ps(out, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, y)));
}

// out[r] = max16 or sum16 of row r of x [rows][16]; reads and writes whole eights of rows.
SB_INLINE void maxRows(const float* x, int rows, float* out) {
  for (int r = 0; r < rows; r += 8) reduceEight(x + 16 * r, out + r, maxOf);
}
SB_INLINE void sumRows(const float* x, int rows, float* out) {
  for (int r = 0; r < rows; r += 8) reduceEight(x + 16 * r, out + r, add);
}
SB_INLINE int sumI16(I x) { return _mm512_reduce_add_epi32(x); }
SB_INLINE int maxI16(I x) { return _mm512_reduce_max_epi32(x); }

}  // namespace SB_ISA
}  // namespace shadowbatch
