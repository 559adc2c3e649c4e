// 16 lanes as two AVX2 registers. Included by vec.h only.
#pragma once
#include <immintrin.h>

namespace shadowbatch {
namespace SB_ISA {

struct F {
  __m256 a, b;
};
struct I {
  __m256i a, b;
};
using M = I;

SB_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SB_INLINE void store(float* p, F x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
SB_INLINE F splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SB_INLINE F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
SB_INLINE F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
SB_INLINE F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
SB_INLINE F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
SB_INLINE F fma(F x, F y, F z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
SB_INLINE F fms(F x, F y, F z) {
  return {_mm256_fmsub_ps(x.a, y.a, z.a), _mm256_fmsub_ps(x.b, y.b, z.b)};
}
// x > y ? x : y, so y if one of them is not a number.
SB_INLINE F maxOf(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
SB_INLINE F minOf(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
SB_INLINE F nearest(F x) {
  return {_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

SB_INLINE I loadI(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
SB_INLINE void storeI(int32_t* p, I x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b);
}
SB_INLINE I splatI(int x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
SB_INLINE I addI(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
SB_INLINE I andI(I x, I y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
SB_INLINE I orI(I x, I y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
SB_INLINE I maxI(I x, I y) { return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)}; }
SB_INLINE I shiftRight(I x, int n) {
  const __m128i c = _mm_cvtsi32_si128(n);
  return {_mm256_srl_epi32(x.a, c), _mm256_srl_epi32(x.b, c)};
}
SB_INLINE I shiftLeft(I x, int n) {
  const __m128i c = _mm_cvtsi32_si128(n);
  return {_mm256_sll_epi32(x.a, c), _mm256_sll_epi32(x.b, c)};
}
SB_INLINE I bitsOf(F x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
SB_INLINE F fromBits(I x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
SB_INLINE F toFloat(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
// Nearest integer, ties to even; 0 where x is not a number.
SB_INLINE I toInt(F x) {
  const I ordered = {_mm256_castps_si256(_mm256_cmp_ps(x.a, x.a, _CMP_ORD_Q)),
                     _mm256_castps_si256(_mm256_cmp_ps(x.b, x.b, _CMP_ORD_Q))};
  return andI(I{_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}, ordered);
}

// x * 2^n for whole n in [-126, 127].
SB_INLINE F scaleByPower(F x, F n) {
  return mul(x, fromBits(shiftLeft(addI(toInt(n), splatI(127)), 23)));
}

SB_INLINE M lanesIn(int from, int to) {
  const I lane = {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                  _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
  const __m256i f = _mm256_set1_epi32(from), t = _mm256_set1_epi32(to);
  return {_mm256_andnot_si256(_mm256_cmpgt_epi32(f, lane.a), _mm256_cmpgt_epi32(t, lane.a)),
          _mm256_andnot_si256(_mm256_cmpgt_epi32(f, lane.b), _mm256_cmpgt_epi32(t, lane.b))};
}
SB_INLINE F select(M m, F yes, F no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_castsi256_ps(m.a)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_castsi256_ps(m.b))};
}
SB_INLINE I selectI(M m, I yes, I no) {
  return {_mm256_blendv_epi8(no.a, yes.a, m.a), _mm256_blendv_epi8(no.b, yes.b, m.b)};
}
// Bit i: x[i] == y[i].
SB_INLINE int equalBits(F x, F y) {
  return _mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ)) |
         _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)) << 8;
}

// Lane i of the result is lane i ^ H of x.
template <int H>
SB_INLINE F swapped(F x) {
  if (H == 8) return {x.b, x.a};
  if (H == 4) {
    return {_mm256_permute2f128_ps(x.a, x.a, 1), _mm256_permute2f128_ps(x.b, x.b, 1)};
  }
  constexpr int order = H == 2 ? 0x4e : 0xb1;
  return {_mm256_permute_ps(x.a, order), _mm256_permute_ps(x.b, order)};
}

// Low bytes of the lanes.
SB_INLINE void storeBytes(void* p, I x) {
  const I low = andI(x, splatI(255));
  const __m256i words = _mm256_packus_epi32(low.a, low.b);
  const __m256i inOrder = _mm256_permute4x64_epi64(words, 0xd8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(inOrder), _mm256_extracti128_si256(inOrder, 1));
  _mm_storeu_si128(static_cast<__m128i*>(p), bytes);
}
SB_INLINE I loadBytes(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8))};
}
SB_INLINE F loadHalf(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
// Eight or four halves from each place, in order.
SB_INLINE F loadHalf2(const uint16_t* p, const uint16_t* q) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(q)))};
}
SB_INLINE F loadHalf4(const uint16_t* p, const uint16_t* q, const uint16_t* r, const uint16_t* s) {
  return {_mm256_cvtph_ps(_mm_unpacklo_epi64(_mm_loadu_si64(p), _mm_loadu_si64(q))),
          _mm256_cvtph_ps(_mm_unpacklo_epi64(_mm_loadu_si64(r), _mm_loadu_si64(s)))};
}
SB_INLINE void storeHalf(uint16_t* p, F x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, 0));
}

// Distances 8, 4, 2, 1.
SB_INLINE float sum16(F x) {
  const __m256 a = _mm256_add_ps(x.a, x.b);
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
SB_INLINE float max16(F x) {
  const __m256 a = _mm256_max_ps(x.a, x.b);
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
SB_INLINE int sumI16(I x) {
  const __m256i a = _mm256_add_epi32(x.a, x.b);
  __m128i b = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_add_epi32(b, _mm_shuffle_epi32(b, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(b, _mm_shuffle_epi32(b, 0xb1)));
}
SB_INLINE int maxI16(I x) {
  const __m256i a = _mm256_max_epi32(x.a, x.b);
  __m128i b = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_max_epi32(b, _mm_shuffle_epi32(b, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(b, _mm_shuffle_epi32(b, 0xb1)));
}

}  // namespace SB_ISA
}  // namespace shadowbatch
